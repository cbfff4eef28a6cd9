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

from forcebase.database.database import Database
from forcebase.records import Taint
from forcebase.records.dataset import DROPPED

AT_ONCE = 10_000
"""Calculations looked at together; their ids fill a megabyte."""
FIELDS = {"structure": 1, "method": 1, "created_at": 1}
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
    validations = list(db.validations.raw.find(new, {"metrics": 0, "leakage": 0}))
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
    validations = list(
        db.validations.raw.find({**kept, "kind": "labels"}, {"metrics": 0, "leakage": 0})
    )
    heads = datasets | {row["_id"] for row in validations}
    right = _reached_among(db, taint, datasets, validations)
    return sorted((set(taint.reached) ^ right) | (set(taint.clear) ^ (heads - right)))


def _reached_among(
    db: Database, taint: Taint, datasets: set[str], validations: list[Row]
) -> set[str]:
    """Those of these datasets and comparisons that a taint reaches."""
    reached: set[str] = set()
    for rows in reached_calculations(db, taint):
        reached |= _datasets_with(db, rows, datasets - reached)
        reached |= {v["_id"] for v in validations if v["_id"] not in reached and _used(db, v, rows)}
        if len(reached) == len(datasets) + len(validations):
            break
    return reached


def reaches_comparison(db: Database, taint: Taint, validation: Row) -> bool:
    """Whether a comparison of labels, which need not be stored, took a calculation reached."""
    if taint.collection not in FOLLOWED or validation["kind"] != "labels":
        return False
    return any(_used(db, validation, rows) for rows in reached_calculations(db, taint))


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


def comparisons_of(db: Database, calculation: Row, most: int) -> tuple[list[str], bool]:
    """Comparisons of labels that took a calculation, and whether these are all of them.

    Args:
        db: the database.
        calculation: its id, structure, method and created_at.
        most: so many comparisons of its method are looked at.
    """
    query = {"provenance.edges.record": calculation["method"], "kind": "labels"}
    rows = list(db.validations.raw.find(query, {"metrics": 0, "leakage": 0}).limit(most))
    return [row["_id"] for row in rows if _used(db, row, [calculation])], len(rows) < most


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
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _datasets_with(db: Database, rows: list[Row], among: set[str]) -> set[str]:
    if not among:
        return set()
    members = {"calculation": {"$in": [row["_id"] for row in rows]}, "split": {"$ne": DROPPED}}
    return set(db.members.raw.distinct("dataset", members)) & among


def _used(db: Database, validation: Row, rows: list[Row]) -> bool:
    """Whether a comparison of labels took one of these calculations.

    One on a dataset took those of its structures. One on a query keeps no list of what it found:
    it is taken to have used any calculation of its methods that was there.
    """
    methods = {validation["model"], validation["reference"]}
    structures = [
        row["structure"]
        for row in rows
        if row["method"] in methods and row["created_at"] <= validation["created_at"]
    ]
    on = [e["record"] for e in validation["provenance"]["edges"] if e["collection"] == "datasets"]
    if not structures or not on:
        return bool(structures)
    split = validation["on"].get("split") or {"$ne": DROPPED}
    member = {"dataset": {"$in": on}, "structure": {"$in": structures}, "split": split}
    return db.members.raw.find_one(member, {"_id": 1}) is not None
