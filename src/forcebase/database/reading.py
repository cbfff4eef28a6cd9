"""Many calculations as columns: two projected cursors and a join in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.errors import NotFoundError
from forcebase.frames import Frames
from forcebase.records.array_field import decode_array

CALCULATION_FIELDS = {"structure": 1, "method": 1, "energy": 1, "forces": 1, "stress": 1}
STRUCTURE_FIELDS = {
    "numbers": 1,
    "positions": 1,
    "cell": 1,
    "pbc": 1,
    "family": 1,
    "kind": 1,
}


def read_frames(db: Database, query: Mapping[str, Any]) -> Frames:
    """Read the calculations that `query` finds, with their structures, ordered by id.

    Args:
        db: the database.
        query: a MongoDB query on `calculations`.
    """
    cursors = (db.calculations.raw.find(piece, CALCULATION_FIELDS) for piece in in_pieces(query))
    found = sorted((row for cursor in cursors for row in cursor), key=itemgetter("_id"))
    places = _structures(db, {c["structure"] for c in found})
    return _frames(
        [places[c["structure"]] for c in found],
        ids=[c["_id"] for c in found],
        methods=[c["method"] for c in found],
        energies=np.array([c["energy"] for c in found], dtype=float),
        forces=[decode_array(c["forces"]) for c in found],
        stresses=[
            decode_array(c["stress"]) if c.get("stress") else np.full(6, np.nan) for c in found
        ],
    )


def read_unlabelled_frames(db: Database, structure_ids: Sequence[str]) -> Frames:
    """Read structures alone, in the order given; labels are NaN."""
    places = _structures(db, set(structure_ids))
    return _frames([places[s] for s in structure_ids], ids=list(structure_ids))


def _structures(db: Database, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    wanted = set(ids)
    found = {s["_id"]: s for s in db.structures.by_ids(wanted, STRUCTURE_FIELDS)}
    if len(found) < len(wanted):
        missing = min(wanted - found.keys())
        raise NotFoundError(
            f"{len(wanted) - len(found)} of {len(wanted)} structures are not in the database, "
            f"as {missing[:10]}.",
            hint="Collect or import again what they came from.",
            structure=missing,
        )
    return found


def _frames(structures: Sequence[dict[str, Any]], ids: Sequence[str], **labels: Any) -> Frames:
    n = len(structures)
    numbers = [decode_array(s["numbers"]) for s in structures]
    n_atoms = np.array([len(z) for z in numbers], dtype=np.int64)
    total = int(n_atoms.sum())
    forces = labels.get("forces")
    return Frames(
        ids=np.array(list(ids), dtype=np.str_),
        structures=np.array([s["_id"] for s in structures], dtype=np.str_),
        families=np.array([s["family"] for s in structures], dtype=np.str_),
        kinds=np.array([s.get("kind", "") for s in structures], dtype=np.str_),
        methods=np.array(labels.get("methods", [""] * n), dtype=np.str_),
        n_atoms=n_atoms,
        numbers=np.concatenate([*numbers, np.empty(0, np.int64)]),
        positions=np.concatenate(
            [*(decode_array(s["positions"]) for s in structures), np.empty((0, 3))]
        ),
        cells=np.array([decode_array(s["cell"]) for s in structures]).reshape(n, 3, 3),
        pbc=np.array([s["pbc"] for s in structures], dtype=bool).reshape(n, 3),
        energies=labels.get("energies", np.full(n, np.nan)),
        forces=np.full((total, 3), np.nan)
        if forces is None
        else np.concatenate([*forces, np.empty((0, 3))]),
        stresses=np.array(labels.get("stresses", np.full((n, 6), np.nan))).reshape(n, 6),
    )
