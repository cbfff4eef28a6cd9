"""forcebase status: what there is, what runs, and what wants attention, on one screen."""

from __future__ import annotations

from typing import Any

from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.cli.tables import print_table
from forcebase.database.connection import without_password

LATEST = 3


def status(as_json: JsonOption = False) -> None:
    """Say which database is in use, what is in it, what runs, and what wants attention.

    Example:
      forcebase status
    """
    from forcebase.provenance.history import history
    from forcebase.records import Taint
    from forcebase.remote.queue import count_states, lacks_runner

    with open_database() as db:
        uri = db.settings.mongodb_uri
        where = without_password(uri) if uri else f"the embedded MongoDB in {db.settings.home}"
        counts = {name: db.collection(name).count_some() for name in db.record_collections}
        open_failures = {"kind": "failure", "resolved": {"$ne": True}}
        found: dict[str, Any] = {
            "database": f"{db.settings.database}, {where}",
            "records": {name: n for name, n in counts.items() if n},
            "taints": db.raw[Taint.collection_name()].estimated_document_count(),
            "failures": db.activities.raw.count_documents(open_failures),
            "jobs": count_states(db),
        }
        latest = history(db, LATEST)
        waiting = lacks_runner(db)
    if as_json:
        print_json({**found, "latest": [happening.as_dict() for happening in latest]})
        return
    rows = [(name, _said(value)) for name, value in found.items() if value]
    rows += [("latest", f"{h.time:%Y-%m-%d %H:%M} {h.kind} {h.name}") for h in latest if h.time]
    print_table("status", ["", ""], rows)
    for advice in _advice(found, waiting):
        say(advice)


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{n:,} {name.lower().replace('_', ' ')}" for name, n in value.items())
    return str(value)


def _advice(found: dict[str, Any], waiting: bool) -> list[str]:
    """What to type next where something wants attention."""
    told = []
    if not found["records"]:
        told.append("Next: `forcebase import FILES`, or `forcebase demo`.")
    if found["failures"]:
        told.append("Jobs failed: `forcebase ls activities kind=failure resolved=false`.")
    if waiting:
        told.append("Jobs wait for a runner: `jf runner start`.")
    return told
