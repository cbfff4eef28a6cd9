"""How far a taint reaches through calculations, into datasets and comparisons.

A dataset of a million members cannot be asked for each of them whenever somebody looks at it. So
the question is put from the taint's side: which calculations does it reach by their structure, or
by the job or import that made them, and where are these members. Datasets and comparisons are
frozen, so each answer holds for good and is kept beside the taint; only what was made since is
asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from forcebase.database.compared import FIELDS as FIELDS_OF_COMPARISONS
from forcebase.database.compared import Packed, compared, holds, packed_ids
from forcebase.database.database import Database
from forcebase.records import Taint
from forcebase.records.dataset import DROPPED

RECORDS_AT_ONCE = 10_000
"""Calculations looked at together; their ids fill a megabyte."""
FIELDS = {"_id": 1}
FOLLOWED = ("calculations", "structures", "activities")
"""What is tainted reaches calculations from here; from elsewhere by provenance edges."""
Row = dict[str, Any]


def reached_heads(db: Database, taint: Taint) -> set[str]:
    """Ids of the datasets and comparisons of labels that hold a calculation reached by a taint.

    What is reached by way of a tainted method stands in provenance edges, and is not given here.
    """
    if taint.collection not in FOLLOWED:
        return set()
    known = [*taint.reached, *taint.clear]
    datasets = {row["_id"] for row in db.datasets.raw.find({"_id": {"$nin": known}}, {"_id": 1})}
    new = {"_id": {"$nin": known}, "kind": "labels"}
    validations = list(db.validations.raw.find(new, FIELDS_OF_COMPARISONS))
    open_heads = datasets | {row["_id"] for row in validations}
    if not open_heads:
        return set(taint.reached)
    reached = _reached_among(db, taint, datasets, validations)
    kept = {"reached": {"$each": sorted(reached)}, "clear": {"$each": sorted(open_heads - reached)}}
    if db.access.may_write:  # who may only read asks again the next time
        db.taints.raw.update_one({"_id": taint.id, "set_at": taint.set_at}, {"$addToSet": kept})
    return reached.union(taint.reached)


def misjudged(db: Database, taint: Taint) -> list[str]:
    """Ids that are kept beside a taint as reached or not, and of which the answer is another."""
    kept = {"_id": {"$in": [*taint.reached, *taint.clear]}}
    if not kept["_id"]["$in"] or taint.collection not in FOLLOWED:
        return sorted({*taint.reached, *taint.clear})
    datasets = {row["_id"] for row in db.datasets.raw.find(kept, {"_id": 1})}
    validations = list(db.validations.raw.find({**kept, "kind": "labels"}, FIELDS_OF_COMPARISONS))
    heads = datasets | {row["_id"] for row in validations}
    right = _reached_among(db, taint, datasets, validations)
    return sorted((set(taint.reached) ^ right) | (set(taint.clear) ^ (heads - right)))


def _reached_among(
    db: Database, taint: Taint, datasets: set[str], validations: list[Row]
) -> set[str]:
    """Those of these datasets and comparisons that a taint reaches."""
    reached: set[str] = set()
    inputs: dict[str, Packed] = {}
    for rows in reached_calculations(db, taint):
        reached |= _datasets_with(db, rows, datasets - reached)
        ids = packed_ids(row["_id"] for row in rows)
        for row in validations:
            name = row["_id"]
            if name not in reached:
                inputs[name] = inputs[name] if name in inputs else compared(db, row)
                reached |= {name} if holds(inputs[name], ids) else set()
        if len(reached) == len(datasets) + len(validations):
            break
    return reached


def reaches_comparison(
    db: Database, taint: Taint, validation: Row, data: bytes | None = None
) -> bool:
    """Whether a comparison of labels took a calculation reached.

    Args:
        db: the database.
        taint: of a record.
        validation: the comparison's stored form.
        data: the ids that went in, of one that is not stored.
    """
    if taint.collection not in FOLLOWED or validation["kind"] != "labels":
        return False
    inputs = compared(db, validation, data)
    return any(
        holds(inputs, packed_ids(row["_id"] for row in rows))
        for rows in reached_calculations(db, taint)
    )


def reached_calculations(db: Database, taint: Taint) -> Iterator[list[Row]]:
    """Yield calculations that a taint reaches other than by their method, in batches."""
    calculations = db.calculations.raw
    if taint.collection == "calculations":
        yield list(calculations.find({"_id": taint.id}, FIELDS))
        return
    made: Iterable[Row] = [{"_id": taint.id}]
    if taint.collection == "activities":
        by_it = {"provenance.activity": taint.id}
        yield from _batches(calculations.find(by_it, FIELDS))
        made = db.structures.raw.find(by_it, {"_id": 1})
    for structures in _with_descendants(db, made):
        yield from _batches(calculations.find({"structure": {"$in": structures}}, FIELDS))


def _with_descendants(db: Database, structures: Iterable[Row]) -> Iterator[list[str]]:
    """Structures, and those that were made of them, and so on, each once."""
    seen: set[str] = set()
    for rows in _batches(structures):
        some = [row["_id"] for row in rows if row["_id"] not in seen]
        while some:
            seen.update(some)
            yield some
            children = db.structures.raw.find(
                {"provenance.edges.record": {"$in": some}}, {"_id": 1}
            )
            some = [row["_id"] for row in children if row["_id"] not in seen]


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == RECORDS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _datasets_with(db: Database, rows: list[Row], among: set[str]) -> set[str]:
    if not among:
        return set()
    members = {"calculation": {"$in": [row["_id"] for row in rows]}, "split": {"$ne": DROPPED}}
    return set(db.members.raw.distinct("dataset", members)) & among
