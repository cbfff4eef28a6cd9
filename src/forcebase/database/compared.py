"""Which calculations went into a comparison of labels: kept with it, 32 bytes each, in a blob."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.equivalences import equal_methods
from forcebase.database.written import ID_BYTES, packed
from forcebase.records.dataset import DROPPED

STRUCTURES_AT_ONCE = 10_000
FEW = 16
Packed = NDArray[np.bytes_]
"""(n,) ids as S32. A zero byte at the end counts for nothing there, and so tells no two apart."""
FIELDS = {"kind": 1, "model": 1, "reference": 1, "inputs": 1, "on": 1, "created_at": 1}
FIELDS |= {"provenance": 1}


def packed_ids(ids: Iterable[str]) -> Packed:
    """Ids of records in 32 bytes each."""
    return np.array([packed(one) for one in ids], dtype=f"S{ID_BYTES}")


def pack_inputs(calculations: Iterable[str]) -> bytes:
    """The blob of a comparison: calculations of the model, then as many of the reference."""
    return b"".join(map(packed, calculations))


def sides(db: Database, validation: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Ids of the calculations of the model and of the reference; none where they were not kept.

    Raises:
        NotFoundError, IntegrityError: the blob is not there, or was changed.
    """
    if not validation.get("inputs"):
        return [], []
    data = db.blobs.get(validation["inputs"])
    ids = [data[i : i + ID_BYTES].hex() for i in range(0, len(data), ID_BYTES)]
    return ids[: len(ids) // 2], ids[len(ids) // 2 :]


def compared(db: Database, validation: Mapping[str, Any], data: bytes | None = None) -> Packed:
    """Calculations of both sides.

    A comparison of schemas before 8 kept no list: then all that may have gone in, which are those
    of its methods that were there, on the structures of its dataset where it has one.

    Args:
        db: the database.
        validation: its stored form.
        data: what would be its blob, of one that is not stored.

    Raises:
        NotFoundError, IntegrityError: the blob is not there, or was changed.
    """
    if data is None and validation.get("inputs"):
        data = db.blobs.get(validation["inputs"])
    if data is not None:
        return np.frombuffer(data, dtype=f"S{ID_BYTES}")
    return packed_ids(_of_before(db, validation))


def whole(inputs: Packed) -> Iterator[bytes]:
    """Yield the ids with all of their bytes: numpy leaves zeros at the end out."""
    return (one.ljust(ID_BYTES, b"\0") for one in inputs.tolist())


def holds(inputs: Packed, wanted: Packed) -> bool:
    """Whether any of the wanted ids is among them."""
    if len(wanted) <= FEW:  # without sorting
        return any(bool((inputs == one).any()) for one in wanted)
    return bool(np.isin(wanted, inputs).any())


def comparisons_with(
    db: Database, calculation: Mapping[str, Any], most: int
) -> tuple[list[str], bool]:
    """Comparisons of labels that took a calculation, and whether these are all of them.

    Args:
        db: the database.
        calculation: its id and method.
        most: so many comparisons of its method are looked at.
    """
    methods = sorted(equal_methods(db, [calculation["method"]]))
    query = {"provenance.edges.record": {"$in": methods}, "kind": "labels"}
    rows = list(db.validations.raw.find(query, FIELDS).limit(most))
    wanted = packed_ids([calculation["_id"]])
    found = [row["_id"] for row in rows if holds(compared(db, row), wanted)]
    return found, len(rows) < most


def _of_before(db: Database, validation: Mapping[str, Any]) -> Iterator[str]:
    both = {"$in": [validation["model"], validation["reference"]]}
    query = {"method": both, "created_at": {"$lte": validation["created_at"]}}
    edges = validation["provenance"]["edges"]
    datasets = [edge["record"] for edge in edges if edge["collection"] == "datasets"]
    if not datasets:
        yield from (row["_id"] for row in db.calculations.raw.find(query, {"_id": 1}))
        return
    split = validation["on"].get("split") or {"$ne": DROPPED}
    members = {"dataset": {"$in": datasets}, "split": split}
    structures = [row["structure"] for row in db.members.raw.find(members, {"structure": 1})]
    for start in range(0, len(structures), STRUCTURES_AT_ONCE):
        some = {**query, "structure": {"$in": structures[start : start + STRUCTURES_AT_ONCE]}}
        yield from (row["_id"] for row in db.calculations.raw.find(some, {"_id": 1}))
