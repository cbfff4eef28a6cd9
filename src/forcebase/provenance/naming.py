"""Short names of records, and of the acts that made them, for people."""

from __future__ import annotations

from collections.abc import Iterable

from mongoengine import Document

from forcebase.database.database import Database
from forcebase.records import Activity, Method, Record


def title(collection: str, record: Document) -> str:
    """A short name for people."""
    if isinstance(record, Method) or collection in ("datasets", "equivalences"):
        return str(record.title)
    if collection == "structures":
        made = record.recipe.get("operation", "") if record.recipe else ""
        return " ".join(part for part in (record.formula, record.kind, made) if part)
    if collection == "calculations":
        return f"{record.formula} {record.method_class} {record.energy:.6f} eV"
    if collection == "phonons":
        matrix = "x".join(str(row[i]) for i, row in enumerate(record.supercell_matrix))
        defect = (record.defect or {}).get("name", "")
        return " ".join(p for p in (record.formula, defect, record.method_class, matrix) if p)
    if isinstance(record, Activity):
        return activity_title(record)
    if collection == "dataset_members":
        return " ".join(p for p in (record.split, record.step, record.reason) if p)
    return f"{record.kind} n={record.n}"


def made_by(db: Database, record: Record) -> str:
    """The job, import or comparison that made a record, in words."""
    activity_id = record.provenance.activity
    found = db.activities.raw.find_one({"_id": activity_id}) if activity_id else None
    return activity_title(Activity._from_son(found)) if found else ""


def activity_title(activity: Activity) -> str:
    """What was done: an import by its file and the file's digest, the rest by its name.

    What was taken from a JobStore has no file with a digest, but a job.
    """
    if activity.kind == "import" and "sha256" in activity.source:
        told = f"import of {activity.name} (sha256 {activity.source['sha256'][:10]})"
    else:
        told = f"{activity.kind} {activity.name} ({activity.id[:10]})"
    return "; ".join([told, *activity.messages])


def sources_of(db: Database, records: Iterable[Record]) -> dict[str, str]:
    """Record -> where it came from: the path of an import's file, or the name of a job."""
    made = {r.id: r.provenance.activity for r in records if getattr(r, "provenance", None)}
    found = db.activities.by_ids({a for a in made.values() if a}, {"name": 1})
    names = {row["_id"]: row["name"] for row in found}
    return {record: names[activity] for record, activity in made.items() if activity in names}
