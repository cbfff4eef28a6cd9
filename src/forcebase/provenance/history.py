"""What happened in a database: its activities, the newest first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from forcebase.database.acts import is_running
from forcebase.database.database import Database
from forcebase.records.activity import FAILED, FINISHED, FROM_ARCHIVE, STARTED
from forcebase.records.journal_entry import Act

NEWEST_FIRST = [("run.started_at", -1), ("finished_at", -1)]
FIELDS = {
    "kind": 1,
    "name": 1,
    "finished_at": 1,
    "resolved": 1,
    "run": 1,
    "wall_time": 1,
    "findings": 1,
}
SHORT = 10
UNFINISHED, RUNNING = "unfinished", "running"


@dataclass(frozen=True)
class Happening:
    """One activity, or one act on words.

    Attributes:
        id: of the activity.
        time: UTC, when it began to write; of activities from before schema version 8, its end.
        user: of the database, or else of the machine; "" where that is not known.
        host: the machine that it ran on; "" where that is not known.
        kind: job, import, comparison or failure; or an `Act` on names, tags, taints, models that
            came from elsewhere, or a restore.
        name: of the job or file; or what was said of which records.
        written: collection -> how many records it wrote here.
        state: finished, running, unfinished, or failed; resolved where the job ended well later.
        reason: why it failed; or that of a taint.
        findings: what a model did not give again, one line each.
    """

    id: str
    time: datetime | None
    user: str
    host: str
    kind: str
    name: str
    written: dict[str, int]
    state: str
    reason: str
    findings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def history(db: Database, limit: int = 0) -> list[Happening]:
    """What was done here, the newest first; what archives brought stands in their import.

    Args:
        db: the database.
        limit: at most so many; 0 for all.
    """
    own = {"run.counted": {"$ne": FROM_ARCHIVE}}
    rows = db.activities.raw.find(own, FIELDS).sort(NEWEST_FIRST).limit(limit)
    found = [_happening(row) for row in rows]
    found += [_said(entry) for entry in db.journal.newest(limit)]
    found.sort(key=lambda happening: happening.time or datetime.min, reverse=True)
    return found[:limit] if limit else found


def _said(entry: dict[str, Any]) -> Happening:
    """One entry of the journal."""
    records, text = entry.get("records") or [], entry.get("text") or ""
    which = f"{len(records):,} {entry.get('collection')}"
    if len(records) == 1:
        which = f"{entry.get('collection')} {records[0][:SHORT]}"
    taint = entry["act"] in (Act.TAINT, Act.UNTAINT)
    if not records:
        name = text
    elif taint or not text:
        name = which
    else:
        name = f"{text} of {which}"
    return Happening(
        id=entry["_id"],
        time=entry["at"],
        user=entry.get("user") or "",
        host=entry.get("host") or "",
        kind=entry["act"],
        name=name,
        written={},
        state=FINISHED,
        reason=text if taint else "",
    )


def _happening(row: dict[str, Any]) -> Happening:
    run = row.get("run") or {}
    written = {name: said.get("n", 0) for name, said in (run.get("written") or {}).items()}
    return Happening(
        id=row["_id"],
        time=run.get("started_at") or row.get("finished_at"),
        user=run.get("user") or "",
        host=run.get("host") or "",
        kind=row["kind"],
        name=row["name"],
        written=written,
        state=_state(row, run),
        reason=run.get("reason") or "",
        findings=[finding.get("message", "") for finding in row.get("findings") or ()],
    )


def _state(row: dict[str, Any], run: dict[str, Any]) -> str:
    if row["kind"] == "failure":
        return "resolved" if row.get("resolved") else FAILED
    if run.get("state") == STARTED:
        return RUNNING if is_running(run) else UNFINISHED
    return str(run.get("state") or "finished")
