"""Isolated atoms: they are not crystals, and give the reference energy of their element."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from ase.cell import Cell
from ase.geometry import minkowski_reduce
from numpy.typing import ArrayLike, NDArray

from forcebase.frames import Frames

ISOLATED = "isolated-atom"
"""Their configuration kind."""
NAME = re.compile(r"^isolated[\s_-]*atoms?$", re.IGNORECASE)
"""As others write it under `config_type`: MACE's IsolatedAtom, isolated_atom of GAP's."""
FAR = 8.0
"""angstrom to its own nearest image, from which an atom is alone: caesium's is 5.3."""
BOX = 20.0
"""angstrom; edge of the box of an atom that came without a cell."""


def is_isolated(n_atoms: int, cell: ArrayLike, pbc: Sequence[bool], config_type: str = "") -> bool:
    """Whether this is one atom that feels no other.

    Args:
        n_atoms: in the cell.
        cell: (3, 3) rows, angstrom; zeros where there is none.
        pbc: (3,); directions that are not periodic have no image.
        config_type: what the source calls it.
    """
    if n_atoms != 1:
        return False
    if NAME.match(config_type) or config_type == ISOLATED:
        return True
    lattice = np.asarray(cell, dtype=float)
    periodic = np.array([bool(p) and row.any() for p, row in zip(pbc, lattice, strict=True)])
    if not periodic.any():
        return True
    if np.linalg.norm(lattice[periodic], axis=1).min() < FAR:  # the nearest is no farther
        return False
    whole = Cell(lattice * np.reshape(periodic, (3, 1))).complete()
    reduced, _ = minkowski_reduce(whole, periodic)
    lengths = np.linalg.norm(np.asarray(reduced), axis=1)
    return bool(np.min(lengths, where=periodic, initial=np.inf) >= FAR)


def isolated(frames: Frames) -> NDArray[np.bool_]:
    """(n,) which of the structures are isolated atoms."""
    found = np.zeros(len(frames), dtype=bool)
    for i in np.flatnonzero(frames.n_atoms == 1):
        found[i] = is_isolated(1, frames.cells[i], frames.pbc[i], str(frames.kinds[i]))
    return found


def boxed(cell: ArrayLike) -> NDArray[np.float64]:
    """(3, 3) cell of an isolated atom: its own, with `BOX` in directions that have none."""
    lattice = np.asarray(cell, dtype=float)
    if not lattice.any():
        return BOX * np.eye(3)
    completed = np.asarray(Cell(lattice).complete())
    return np.where(np.reshape(lattice.any(axis=1), (3, 1)), lattice, BOX * completed)
