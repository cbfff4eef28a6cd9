"""One step up or down from a record: by an index, and a few of many.

What is made of a record may be a million calculations. A step names the first few of each role, in
the order in which they were written, and counts the rest up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from forcebase.database.compared import comparisons_with
from forcebase.database.database import Database
from forcebase.records import Record
from forcebase.records.dataset import DROPPED, SPLITS
from forcebase.records.kinds import kind_of

MANY = 4
"""So many records of one role are named; the rest is counted."""
LOOKED_AT = 32
"""Records of one collection that are read to see which roles there are."""
COUNT_AT_MOST = 100_000
"""Beside the record that was asked about, counting goes no further; some 0.03 s by an index."""
COUNT_BELOW = 5_000
"""And no further beside the records behind it."""


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
        total: how many there are in all, or that counting was given up at.
        counted: False where there may be more than `total`.
    """

    role: str
    relation: Relation
    collection: str
    records: tuple[str, ...]
    total: int
    counted: bool = True


def parents(db: Database, collection: str, record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield (role, collection, id) of all that a record was made from; a dataset's members too."""
    for edge in record.provenance.edges:
        yield edge.role, edge.collection, edge.record
    if collection == "datasets":
        fields = {"calculation": 1, "split": 1}
        rows = db.members.raw.find({"dataset": record.id, "split": {"$ne": DROPPED}}, fields)
        for row in rows.sort("_id", 1):
            yield f"{row['split']} member", "calculations", row["calculation"]


def steps_up(
    db: Database,
    collection: str,
    document: dict[str, Any],
    most: int,  # noqa: ARG001
) -> Iterator[Step]:
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
        yield from _members(db, document)
    if provenance.get("activity"):
        yield _one("made by", Relation.GENERATED, db.activities.name, provenance["activity"])


def steps_down(
    db: Database, collection: str, document: dict[str, Any], most: int
) -> Iterator[Step]:
    """What was made from a document, by role; counted up to `most`."""
    record = document["_id"]
    if collection == db.members.name:
        yield _one(document["split"], Relation.MEMBER, "datasets", document["dataset"])
        return
    if collection == db.activities.name:
        yield from _made_by(db, record, most)
        return
    for place in db.record_collections.values():
        yield from _children(db, place.name, record, most)
    if collection == "calculations":
        yield from _datasets_of(db, record, most)
        compared, counted = comparisons_with(db, document, LOOKED_AT)
        if compared:
            first, total = tuple(compared[:MANY]), len(compared)
            yield Step("compared in", Relation.DERIVED, "validations", first, total, counted)


def _one(role: str, relation: Relation, collection: str, record: str) -> Step:
    return Step(role, relation, collection, (record,), 1)


def _members(db: Database, dataset: dict[str, Any]) -> Iterator[Step]:
    """The dataset's own counts are taken: `forcebase verify` checks them against the members."""
    for split in SPLITS:
        rows = {"dataset": dataset["_id"], "split": split}
        first = [row["calculation"] for row in db.members.raw.find(rows).limit(MANY)]
        if first:
            total = max(int(dataset["counts"].get(split, 0)), len(first))
            yield Step(f"{split} member", Relation.MEMBER, "calculations", tuple(first), total)


def _made_by(db: Database, activity: str, most: int) -> Iterator[Step]:
    query = {"provenance.activity": activity}
    for place in db.record_collections.values():
        first = [row["_id"] for row in place.raw.find(query, {"_id": 1}).limit(MANY)]
        if first:
            total, counted = _count(place.raw, query, most)
            yield Step("made by", Relation.GENERATED, place.name, tuple(first), total, counted)


def _children(db: Database, collection: str, record: str, most: int) -> Iterator[Step]:
    """By role. No sorting: the index gives the records of one parent in the order of writing."""
    raw = db.collection(collection).raw
    query = {"provenance.edges.record": record}
    rows = list(raw.find(query, {"provenance.edges": 1}).limit(LOOKED_AT))
    grouped: dict[str, list[str]] = {}
    for row in rows:
        edge = next(e for e in row["provenance"]["edges"] if e["record"] == record)
        grouped.setdefault(edge["role"], []).append(row["_id"])
    for role, found in grouped.items():
        total, counted = len(found), True
        if len(rows) == LOOKED_AT:
            exact = {"provenance.edges": {"$elemMatch": {"role": role, "record": record}}}
            field = _indexed(collection, role)
            total, counted = _count(raw, {field: record} if field else {**query, **exact}, most)
        yield Step(role, Relation.DERIVED, collection, tuple(found[:MANY]), total, counted)


def _indexed(collection: str, role: str) -> str:
    """The indexed field that says the same as a role: counted from the index alone; or ""."""
    kind = kind_of(collection)
    fields = (r.field for r in kind.references if r.role == role and r.field in kind.indexed)
    return next(fields, "")


def _datasets_of(db: Database, calculation: str, most: int) -> Iterator[Step]:
    grouped: dict[str, list[str]] = {}
    fields = {"split": 1, "dataset": 1}
    rows = list(db.members.raw.find({"calculation": calculation}, fields).limit(most))
    there = {head["_id"] for head in db.datasets.by_ids({r["dataset"] for r in rows}, {"_id": 1})}
    for row in (row for row in rows if row["dataset"] in there):  # others are being written
        grouped.setdefault(f"{row['split']} member", []).append(row["dataset"])
    for role, found in grouped.items():
        counted = len(rows) < most
        yield Step(role, Relation.MEMBER, "datasets", tuple(found[:MANY]), len(found), counted)


def _count(raw: Any, query: dict[str, Any], most: int) -> tuple[int, bool]:
    """How many fit, and whether that is all; by `count`, which looks at keys of the index alone."""
    found = int(raw.database.command("count", raw.name, query=query, limit=most + 1)["n"])
    return min(found, most), found <= most
