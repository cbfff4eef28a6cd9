"""Calculations that one method made twice: alike in all that the method gave, unlike in digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forcebase.database.database import Database
from forcebase.database.label_ids import LabelIds
from forcebase.database.pieces import in_pieces
from forcebase.errors import InputError
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


def one_each(
    db: Database, method: Method, labels: LabelIds, like: LabelIds | None = None
) -> LabelIds:
    """Take one calculation of each structure: of several meshes the densest, then the first by id.

    Args:
        db: the database.
        method: of the labels.
        labels: by structure and then by id.
        like: calculations of another method, one a structure: of unlike charges and magnetic states
            those are taken that are theirs.

    Raises:
        InputError: a structure has labels of unlike charges or magnetic states: which is meant?
    """
    starts = np.searchsorted(labels.structures, labels.structures)
    chosen = np.unique(starts)
    rows = np.flatnonzero(np.bincount(starts, minlength=len(labels))[starts] > 1)
    if method.is_model or not len(rows):
        return labels.take(chosen)
    entries = _entries(db, labels.take(rows))
    wanted = {} if like is None else _states_of(db, like, labels.structures[rows])
    for start in np.unique(starts[rows]):
        group = rows[starts[rows] == start]
        state = wanted.get(labels.structures[start])
        if state is not None:
            same = [i for i in group if _has_state(entries[labels.ids[i].decode()], state)]
            group = np.array(same, int) if same else group
        found = [entries[labels.ids[i].decode()] for i in group]
        _require_one_state(method, found)
        spacing = [entry.get("k_spacing") or np.inf for entry in found]
        chosen[chosen == start] = group[int(np.argmin(spacing))]
    return labels.take(chosen)


def _states_of(db: Database, like: LabelIds, structures: Any) -> dict[bytes, dict[str, Any]]:
    some = like.take(np.flatnonzero(np.isin(like.structures, structures)))
    entries = _entries(db, some)
    pairs = zip(some.structures.tolist(), some.ids.tolist(), strict=True)
    return {structure: entries[name.decode()] for structure, name in pairs}


def _has_state(entry: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether a calculation has the charge and magnetic state of another, as far as told."""
    if state.get("charge") is not None and entry.get("charge") != state["charge"]:
        return False
    return not state.get("magnetic") or alike(entry.get("magnetic") or {}, state["magnetic"])


def _require_one_state(method: Method, entries: list[dict[str, Any]]) -> None:
    charges = sorted({e["charge"] for e in entries if e.get("charge") is not None})
    states = [e["magnetic"] for e in entries if e.get("magnetic")]
    orders = sorted({str(state["order"]) for state in states})
    if len(charges) > 1:
        what, hint = f"charges {', '.join(f'{c:+g}' for c in charges)}", "charge=0"
    elif any(not alike(states[0], other) for other in states[1:]):
        what, hint = f"magnetic states ({', '.join(orders)})", f"magnetic.order={orders[0]}"
    else:
        return
    raise InputError(
        f"{method.title} has labelled a structure with unlike {what}: {entries[0]['_id'][:10]}.",
        hint=f"Ask for one of them, as `{hint}` among the filters, or compare on a dataset.",
    )


def is_replicate(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two stored DFT calculations of one structure and method are alike in all given."""
    if one.get("charge") is None or other.get("charge") is None:
        return False
    if any((one.get(name) or None) != (other.get(name) or None) for name in SAME):
        return False
    return alike(one.get("magnetic") or {}, other.get("magnetic") or {})


def _entries(db: Database, labels: LabelIds) -> dict[str, dict[str, Any]]:
    fields = dict.fromkeys((*SAME, "magnetic", "k_spacing"), 1)
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
