"""Which acts made records, in words for people."""

from __future__ import annotations

from collections.abc import Iterable

from forcebase.database.database import Database
from forcebase.records import Activity, Record


def made_by(db: Database, record: Record) -> str:
    """The job, import or comparison that made a record, in words."""
    activity_id = record.provenance.activity
    found = db.activities.raw.find_one({"_id": activity_id}) if activity_id else None
    return str(Activity._from_son(found).title) if found else ""


def sources_of(db: Database, records: Iterable[Record]) -> dict[str, str]:
    """Record -> where it came from: the path of an import's file, or the name of a job."""
    made = {r.id: r.provenance.activity for r in records if getattr(r, "provenance", None)}
    found = db.activities.by_ids({a for a in made.values() if a}, {"name": 1})
    names = {row["_id"]: row["name"] for row in found}
    return {record: names[activity] for record, activity in made.items() if activity in names}
