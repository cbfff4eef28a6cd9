"""Calculations that one method made twice: alike in all that the method gave, unlike in digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forcebase.database.database import Database
from forcebase.database.label_ids import LabelIds
from forcebase.database.pieces import in_pieces
from forcebase.physics.magnetic_state import alike
from forcebase.records import Method

SAME = ("potentials", "plus_u", "k_mesh", "k_shift", "k_rule", "charge", "convergence")
"""Fields that two replicates have alike, beside their magnetic state."""


def replicate_pairs(db: Database, method: Method, labels: LabelIds) -> tuple[LabelIds, LabelIds]:
    """Give the first two replicates of each structure that has some, row for row.

    Calculations of a model are alike; those of DFT are where potentials, U, k-points, charge,
    criteria of convergence and magnetic state are. What was not recorded is like nothing.

    Args:
        db: the database.
        method: of the labels.
        labels: by structure and then by id.
    """
    starts = np.searchsorted(labels.structures, labels.structures)
    several = np.bincount(starts, minlength=len(labels))[starts] > 1
    rows = np.flatnonzero(several)
    if method.is_model or not len(rows):
        numbers = np.arange(len(labels)) - starts
        second = np.flatnonzero(numbers == 1)
        return labels.take(starts[second]), labels.take(second)
    entries = _entries(db, labels.take(rows))
    first: list[int] = []
    second_rows: list[int] = []
    for start in np.unique(starts[rows]):
        group = rows[starts[rows] == start]
        found = _first_pair([entries[labels.ids[i].decode()] for i in group])
        if found is not None:
            first.append(int(group[found[0]]))
            second_rows.append(int(group[found[1]]))
    return labels.take(np.array(first, int)), labels.take(np.array(second_rows, int))


def is_replicate(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two stored DFT calculations of one structure and method are alike in all given."""
    if one.get("charge") is None or other.get("charge") is None:
        return False
    if any((one.get(name) or None) != (other.get(name) or None) for name in SAME):
        return False
    return alike(one.get("magnetic") or {}, other.get("magnetic") or {})


def _entries(db: Database, labels: LabelIds) -> dict[str, dict[str, Any]]:
    fields = dict.fromkeys((*SAME, "magnetic"), 1)
    ids = labels.ids.astype(str).tolist()
    return {
        row["_id"]: row
        for piece in in_pieces({"_id": {"$in": ids}})
        for row in db.calculations.raw.find(piece, fields)
    }


def _first_pair(entries: list[dict[str, Any]]) -> tuple[int, int] | None:
    for i, one in enumerate(entries):
        for j in range(i + 1, len(entries)):
            if is_replicate(one, entries[j]):
                return i, j
    return None
