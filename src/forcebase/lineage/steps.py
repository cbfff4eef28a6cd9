"""One step up or down from a record: by an index, and a few of many.

What is made of a record may be a million calculations. A step names the first few of each role, in
the order in which they were written, and counts the rest up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from forcebase.database.database import Database
from forcebase.records import Record
from forcebase.records.dataset import DROPPED, SPLITS

MANY = 4
"""So many records of one role are named; the rest is counted."""
LOOKED_AT = 32
"""Records of one collection that are read to see which roles there are."""
COUNT_AT_MOST = 100_000
"""Counting goes no further: 0.1 s where the documents must be read for it."""
INDEXED = {
    "calculations": {"method", "structure"},
    "phonons": {"method", "structure"},
}
"""Roles that are indexed fields too: counted from the index alone."""


class Relation(Enum):
    """How two things are related, in the words of PROV-DM; from the later to the earlier."""

    DERIVED = "wasDerivedFrom"
    GENERATED = "wasGeneratedBy"
    MEMBER = "hadMember"


@dataclass(frozen=True)
class Step:
    """Records of one role beside one record.

    Attributes:
        role: what the earlier was to the later.
        relation: in PROV's words.
        collection: of the records.
        records: ids of the first few.
        total: how many there are in all, or at least `COUNT_AT_MOST`.
    """

    role: str
    relation: Relation
    collection: str
    records: tuple[str, ...]
    total: int


def parents(db: Database, collection: str, record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield (role, collection, id) of all that a record was made from; a dataset's members too."""
    for edge in record.provenance.edges:
        yield edge.role, edge.collection, edge.record
    if collection == "datasets":
        fields = {"calculation": 1, "split": 1}
        rows = db.members.raw.find({"dataset": record.id, "split": {"$ne": DROPPED}}, fields)
        for row in rows.sort("_id", 1):
            yield f"{row['split']} member", "calculations", row["calculation"]


def steps_up(db: Database, collection: str, document: dict[str, Any]) -> Iterator[Step]:
    """What a document was made from, by role, and the job or import that made it."""
    if collection == db.members.name:
        yield _one(document["split"], Relation.DERIVED, "calculations", document["calculation"])
        return
    provenance = document.get("provenance", {})
    grouped: dict[tuple[str, str], list[str]] = {}
    for edge in provenance.get("edges", []):
        grouped.setdefault((edge["role"], edge["collection"]), []).append(edge["record"])
    for (role, place), found in grouped.items():
        yield Step(role, Relation.DERIVED, place, tuple(found[:MANY]), len(found))
    if collection == "datasets":
        yield from _members(db, document["_id"])
    if provenance.get("activity"):
        yield _one("made by", Relation.GENERATED, db.activities.name, provenance["activity"])


def steps_down(db: Database, collection: str, document: dict[str, Any]) -> Iterator[Step]:
    """What was made from a document, by role."""
    record = document["_id"]
    if collection == db.members.name:
        yield _one(document["split"], Relation.MEMBER, "datasets", document["dataset"])
        return
    if collection == db.activities.name:
        yield from _made_by(db, record)
        return
    for place in db.record_collections.values():
        yield from _children(db, place.name, record)
    if collection == "calculations":
        yield from _datasets_of(db, record)


def _one(role: str, relation: Relation, collection: str, record: str) -> Step:
    return Step(role, relation, collection, (record,), 1)


def _members(db: Database, dataset: str) -> Iterator[Step]:
    for split in SPLITS:
        rows = {"dataset": dataset, "split": split}
        first = [row["calculation"] for row in db.members.raw.find(rows).limit(MANY + 1)]
        if first:
            total = len(first) if len(first) <= MANY else _count(db.members.raw, rows)
            role = f"{split} member"
            yield Step(role, Relation.MEMBER, "calculations", tuple(first[:MANY]), total)


def _made_by(db: Database, activity: str) -> Iterator[Step]:
    query = {"provenance.activity": activity}
    for place in db.record_collections.values():
        first = [row["_id"] for row in place.raw.find(query, {"_id": 1}).limit(MANY + 1)]
        if first:
            total = len(first) if len(first) <= MANY else _count(place.raw, query)
            yield Step("made by", Relation.GENERATED, place.name, tuple(first[:MANY]), total)


def _children(db: Database, collection: str, record: str) -> Iterator[Step]:
    """By role. No sorting: the index gives the records of one parent in the order of writing."""
    raw = db.collection(collection).raw
    query = {"provenance.edges.record": record}
    rows = list(raw.find(query, {"provenance.edges": 1}).limit(LOOKED_AT))
    grouped: dict[str, list[str]] = {}
    for row in rows:
        edge = next(e for e in row["provenance"]["edges"] if e["record"] == record)
        grouped.setdefault(edge["role"], []).append(row["_id"])
    for role, found in grouped.items():
        total = len(found)
        if len(rows) == LOOKED_AT:
            exact = {"provenance.edges": {"$elemMatch": {"role": role, "record": record}}}
            indexed = role in INDEXED.get(collection, ())
            total = _count(raw, {role: record} if indexed else {**query, **exact})
        yield Step(role, Relation.DERIVED, collection, tuple(found[:MANY]), total)


def _datasets_of(db: Database, calculation: str) -> Iterator[Step]:
    grouped: dict[str, list[str]] = {}
    fields = {"split": 1, "dataset": 1}
    for row in db.members.raw.find({"calculation": calculation}, fields).limit(COUNT_AT_MOST):
        grouped.setdefault(f"{row['split']} member", []).append(row["dataset"])
    for role, found in grouped.items():
        yield Step(role, Relation.MEMBER, "datasets", tuple(found[:MANY]), len(found))


def _count(raw: Any, query: dict[str, Any]) -> int:
    return int(raw.count_documents(query, limit=COUNT_AT_MOST))
