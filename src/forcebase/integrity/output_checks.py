"""Documents of the JobStore: is each still the one that became records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS, output_digest
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.records.activity import FROM_ARCHIVE

FIELDS = {"job": 1, "name": 1, "finished_at": 1, "run.counted": 1}
ROUNDING = timedelta(milliseconds=2)
"""MongoDB keeps milliseconds."""


def check_outputs(db: Database) -> Iterator[tuple[int, list[Finding]]]:
    """Compare each document with what it was when it was collected.

    What each activity of a job says is held at once, some 300 bytes; the documents pass one by
    one.

    Yields:
        1, and what is wrong with a document.
    """
    query = {"kind": "job", "job.sha256": {"$type": "string"}}
    said = {
        (row["job"].get("uuid"), row["job"].get("index")): row
        for row in db.activities.raw.find(query, FIELDS)
        if (row.get("run") or {}).get("counted") != FROM_ARCHIVE
    }
    for document in db.raw[OUTPUTS].find():
        activity = said.pop((document.get("uuid"), document.get("index")), None)
        if activity is not None:
            yield 1, list(_check(document, activity))
    for activity in said.values():
        words = f"the output of job {activity['name']} is no longer in the JobStore"
        hint = "Its records do not need it; a backup has it."
        yield 0, [Finding(FindingKind.OUTPUT_GONE, OUTPUTS, activity["_id"], words, hint)]


def _check(document: dict[str, Any], activity: dict[str, Any]) -> Iterator[Finding]:
    found, stored = output_digest(document), activity["job"]["sha256"]
    if found == stored:
        return
    if _is_later(document.get("completed_at"), activity.get("finished_at")):
        words = f"job {activity['name']} ran again after its output became records"
        hint = "Its records are of the run before; nothing need be done."
        yield Finding(FindingKind.OUTPUT_NEWER, OUTPUTS, activity["_id"], words, hint)
        return
    words = f"the output of job {activity['name']} was edited after it became records"
    hint = "Restore it from a backup; the records made of it are as they were."
    yield Finding(FindingKind.OUTPUT_CHANGED, OUTPUTS, activity["_id"], words, hint, stored, found)


def _is_later(completed: Any, collected: Any) -> bool:
    try:
        return datetime.fromisoformat(completed) > collected + ROUNDING
    except (TypeError, ValueError):
        return False
