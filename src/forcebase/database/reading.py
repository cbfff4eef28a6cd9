"""Many calculations with their structures as columns: two cursors and a join in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.label_columns import (
    LABELS,
    array_column,
    joined,
    label_energies,
    label_stresses,
)
from forcebase.database.pieces import in_pieces
from forcebase.database.raw_rows import read_rows
from forcebase.errors import DatabaseError, NotFoundError
from forcebase.frames import Frames, atom_rows
from forcebase.physics.energy_kinds import EnergyKind

STRUCTURES = {
    "_id": "S",
    "family": "S",
    "kind": "S",
    "numbers.dtype": "S",
    "numbers.data": "<i8",
    "positions.dtype": "S",
    "positions.data": "<f8",
    "cell.dtype": "S",
    "cell.data": "<f8",
    "pbc.0": "?",
    "pbc.1": "?",
    "pbc.2": "?",
}


def read_frames(
    db: Database, query: Mapping[str, Any], energy: EnergyKind = EnergyKind.FREE
) -> Frames:
    """Read the calculations that `query` finds, with their structures, ordered by id.

    Args:
        db: the database.
        query: a MongoDB query on `calculations`.
        energy: the kind that is taken where a record has both; forces derive from the free energy.

    Raises:
        NotFoundError: a structure is not in the database.
        DatabaseError: a record has not the form of a record.
    """
    columns = {**LABELS, "method": "S"}
    raw = db.calculations.raw
    found = [rows for piece in in_pieces(query) for rows in read_rows(raw, piece, columns)]
    ids = joined([rows["_id"] for rows in found], "S64")
    order = np.argsort(ids)
    structures = joined([rows["structure"] for rows in found], "S64")[order]
    forces = [array_column(rows, "forces") for rows in found]
    sizes = np.concatenate(
        [np.empty(0, np.int64), *(np.full(len(f), f.shape[1] // 3) for f in forces)]
    )
    frames = _frames(db, structures, ids[order])
    if not np.array_equal(frames.n_atoms, sizes[order]):
        raise DatabaseError(
            "A structure does not have the atoms of its calculation.",
            hint="Run `forcebase verify`.",
        )
    components = joined([f.ravel() for f in forces], "<f8").reshape(-1, 3)
    labels = {
        "methods": _text(joined([rows["method"] for rows in found], "S64")[order]),
        "energies": joined([label_energies(rows, energy) for rows in found], "<f8")[order],
        "forces": components[atom_rows(sizes, order)],
        "stresses": joined([label_stresses(rows) for rows in found], "<f8").reshape(-1, 6)[order],
    }
    return Frames(**{**vars(frames), **labels})


def read_unlabelled_frames(db: Database, structure_ids: Sequence[str]) -> Frames:
    """Read structures alone, in the order given; labels are NaN.

    Raises:
        NotFoundError: a structure is not in the database.
        DatabaseError: a record has not the form of a record.
    """
    ids = np.array(list(structure_ids), dtype="S")
    return _frames(db, ids, ids)


def _frames(db: Database, structures: NDArray[np.bytes_], ids: NDArray[np.bytes_]) -> Frames:
    """Structures in this order, without labels."""
    wanted, place = np.unique(structures, return_inverse=True)
    query = {"_id": {"$in": _text(wanted).tolist()}}
    raw = db.structures.raw
    found = [rows for piece in in_pieces(query) for rows in read_rows(raw, piece, STRUCTURES)]
    known = joined([rows["_id"] for rows in found], "S64")
    _require(wanted, known)
    chosen = np.argsort(known)[place]
    numbers = [array_column(rows, "numbers", "<i8") for rows in found]
    positions = [array_column(rows, "positions") for rows in found]
    sizes = np.concatenate([np.empty(0, np.int64), *(np.full(len(z), z.shape[1]) for z in numbers)])
    cells = joined([array_column(rows, "cell") for rows in found], "<f8").reshape(-1, 3, 3)
    pbc = [np.stack([rows[f"pbc.{axis}"] for axis in range(3)], axis=1) for rows in found]
    atoms, n = atom_rows(sizes, chosen), len(ids)
    total = len(atoms)
    return Frames(
        ids=_text(ids),
        structures=_text(structures),
        families=_text_of(found, "family")[chosen],
        kinds=_text_of(found, "kind")[chosen],
        methods=np.full(n, ""),
        n_atoms=sizes[chosen],
        numbers=joined([z.ravel() for z in numbers], "<i8")[atoms],
        positions=joined([p.ravel() for p in positions], "<f8").reshape(-1, 3)[atoms],
        cells=cells[chosen],
        pbc=joined([p.ravel() for p in pbc], "?").reshape(-1, 3)[chosen],
        energies=np.full(n, np.nan),
        forces=np.full((total, 3), np.nan),
        stresses=np.full((n, 6), np.nan),
    )


def _require(wanted: NDArray[np.bytes_], known: NDArray[np.bytes_]) -> None:
    missing = np.setdiff1d(wanted, known)
    if len(missing):
        first = missing[0].decode()
        raise NotFoundError(
            f"{len(missing)} of {len(wanted)} structures are not in the database, as {first[:10]}.",
            hint="Collect or import again what they came from.",
            structure=first,
        )


def _text_of(found: Iterable[NDArray[Any]], name: str) -> NDArray[np.str_]:
    """A column of text; "" where a record has none."""
    parts = [
        _text(rows[name]) if name in (rows.dtype.names or ()) else np.full(len(rows), "")
        for rows in found
    ]
    return np.concatenate([np.empty(0, "U1"), *parts])


def _text(column: NDArray[np.bytes_]) -> NDArray[np.str_]:
    return np.char.decode(column, "utf-8")
