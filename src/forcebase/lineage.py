"""Where a record comes from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from mongoengine import Document

from forcebase.database.database import Database
from forcebase.errors import NotFoundError
from forcebase.records import Activity, Method, Record
from forcebase.records.dataset import DROPPED

MANY = 4
"""So many records of one role are listed; the rest is counted."""


@dataclass(frozen=True)
class Node:
    """A record in a lineage, and the records behind (or after) it.

    Attributes:
        role: what it was to the record next to it.
        collection: its collection; "" for a count of further records.
        record: its id.
        title: a short name for people.
        made_by: the job, import or comparison that made it.
        links: next records, in the direction of the trace.
    """

    role: str
    collection: str
    record: str
    title: str
    made_by: str = ""
    links: list[Node] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def trace_up(db: Database, collection: str, record_id: str, depth: int = 6) -> Node:
    """What this record was made from, and that in turn."""
    return _walk(db, "", collection, record_id, depth, parents)


def trace_down(db: Database, collection: str, record_id: str, depth: int = 6) -> Node:
    """What was made from this record, and from that in turn."""
    return _walk(db, "", collection, record_id, depth, _children)


def _walk(
    db: Database, role: str, collection: str, record_id: str, depth: int, neighbours: Any
) -> Node:
    try:
        record = db.collection(collection).get(record_id)
    except NotFoundError:
        if not role:
            raise
        return Node(role, collection, record_id, "not in this database")
    links: list[Node] = []
    if depth > 0:
        listed: dict[str, int] = {}
        for next_role, place, next_id in neighbours(db, collection, record):
            listed[next_role] = listed.get(next_role, 0) + 1
            if listed[next_role] <= MANY:
                links.append(_walk(db, next_role, place, next_id, depth - 1, neighbours))
        links += [
            Node(next_role, "", "", f"and {n - MANY} more")
            for next_role, n in listed.items()
            if n > MANY
        ]
    return Node(role, collection, record_id, title(collection, record), made_by(db, record), links)


def parents(db: Database, collection: str, record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield (role, collection, id) of what a record was made from; a dataset's members too."""
    for edge in record.provenance.edges:
        yield edge.role, edge.collection, edge.record
    if collection == "datasets":
        fields = {"calculation": 1, "split": 1}
        rows = db.members.raw.find({"dataset": record.id, "split": {"$ne": DROPPED}}, fields)
        for row in rows.sort("_id", 1):
            yield f"{row['split']} member", "calculations", row["calculation"]


def _children(db: Database, collection: str, record: Record) -> Iterator[tuple[str, str, str]]:
    for place in db.record_collections.values():
        query = {"provenance.edges.record": record.id}
        for found in place.raw.find(query, {"provenance.edges": 1}).sort("_id", 1):
            role = next(e["role"] for e in found["provenance"]["edges"] if e["record"] == record.id)
            yield f"{role} of", place.name, found["_id"]
    if collection == "calculations":
        for row in db.members.raw.find({"calculation": record.id}).sort("_id", 1):
            yield f"{row['split']} in", "datasets", row["dataset"]


def title(collection: str, record: Document) -> str:
    """A short name for people."""
    if isinstance(record, Method) or collection == "datasets":
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
    return f"{record.kind} n={record.n}"


def made_by(db: Database, record: Record) -> str:
    """The job, import or comparison that made a record, in words."""
    activity_id = record.provenance.activity
    found = db.activities.raw.find_one({"_id": activity_id}) if activity_id else None
    if found is None:
        return ""
    activity = Activity._from_son(found)
    if activity.kind == "import":
        return f"import of {activity.name} (sha256 {activity.source['sha256'][:10]})"
    return f"{activity.kind} {activity.name} ({activity.id[:10]})"
