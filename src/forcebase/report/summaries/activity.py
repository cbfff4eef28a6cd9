"""An activity in a few lines: a job, an import, a comparison, a failure."""

from __future__ import annotations

from typing import Any

from forcebase.database.database import Database
from forcebase.records import Activity
from forcebase.report.summaries.words import settings


def summarise_activity(_: Database, record: Activity) -> list[tuple[str, str]]:
    """What was done, when, by whom and where, and what came of it."""
    run: Any = record.run
    written = dict(getattr(run, "written", None) or {})
    wrote = ", ".join(f"{piece['n']} {place}" for place, piece in sorted(written.items()))
    versions = settings(dict(record.package_versions or {}))
    return [
        ("what", f"{record.kind}: {record.name}"),
        ("finished", f"{record.finished_at:%Y-%m-%d %H:%M:%S}" if record.finished_at else "no"),
        ("took", f"{record.wall_time:.1f} s" if record.wall_time else ""),
        ("by", " on ".join(p for p in (getattr(run, "user", ""), getattr(run, "host", "")) if p)),
        ("records", wrote or str(record.n_records or "")),
        ("settings", settings(dict(record.settings or {}))),
        ("packages", versions),
        ("found", "; ".join(record.messages)),
        ("error", record.reason),
        ("resolved", "the same job ended well later" if record.resolved else ""),
    ]
