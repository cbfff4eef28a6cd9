"""Forces that are exactly zero where no symmetry makes them so: a constraint's, not a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import spglib
from numpy.typing import NDArray

from forcebase.physics.labelled_cell import LabelledCell

LOUD = 0.05
"""eV/angstrom; where an atom's neighbour feels as much, its own force is not zero by accident."""
SHELL = 1.2
"""Times the distance of the nearest atom: who counts as a neighbour."""
GAP = 0.1
"""Times LOUD: with smaller forces about, they fade out with distance, and zeros are their end."""
SYMMETRY = 0.01
"""angstrom; generous, for an atom that is nearly on a site of symmetry."""


def frozen_atoms(cells: Sequence[LabelledCell]) -> tuple[int, NDArray[np.int64]] | None:
    """The first cell with forces that a constraint left out, and the atoms; None where none has.

    The same atoms must have forces of exactly zero in all structures of the same atoms, two at
    least, next to others that feel a force, though they or all the others moved.
    Zeros of symmetry, and those beyond the reach of a potential, where forces fade out, are none.
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, cell in enumerate(cells):
        groups[np.asarray(cell.numbers).tobytes()].append(index)
    for members in groups.values():
        zero = np.all([~np.asarray(cells[i].forces).any(axis=1) for i in members], axis=0)
        if len(members) < 2 or not zero.any() or zero.all():
            continue
        moved = _moved([cells[i] for i in members])
        if not moved[~zero].all():  # few atoms of a perfect crystal were displaced, as for phonons
            zero &= moved
        for index in members:
            found = _suspects(cells[index], zero)
            if len(found):
                return index, found
    return None


def _moved(cells: Sequence[LabelledCell]) -> NDArray[np.bool_]:
    """(n,) whether an atom is elsewhere in some of the cells, in their own coordinates."""
    places = np.array([cell.positions @ np.linalg.inv(cell.cell) for cell in cells])
    apart = places - places[0]
    return np.asarray(
        np.linalg.norm((apart - np.round(apart)) @ cells[0].cell, axis=2).max(axis=0) > SYMMETRY
    )


def _suspects(cell: LabelledCell, zero: NDArray[np.bool_]) -> NDArray[np.int64]:
    felt = np.linalg.norm(cell.forces, axis=1)
    if felt[felt > 0].size == 0 or felt[felt > 0].min() < GAP * LOUD:
        return np.empty(0, dtype=np.int64)
    near = [int(i) for i in np.flatnonzero(zero) if _neighbours_feel(cell, int(i), felt)]
    held = _by_symmetry(cell) if near else set()
    return np.array([i for i in near if i not in held], dtype=np.int64)


def _neighbours_feel(cell: LabelledCell, atom: int, felt: NDArray[np.float64]) -> bool:
    apart = (cell.positions - cell.positions[atom]) @ np.linalg.inv(cell.cell)
    distances = np.linalg.norm((apart - np.round(apart)) @ cell.cell, axis=1)
    distances[atom] = np.inf
    return bool((felt[distances < SHELL * distances.min()] > LOUD).any())


def _by_symmetry(cell: LabelledCell) -> set[int]:
    """Atoms whose site lets no force be; all, where the symmetry is not known."""
    n = len(cell.numbers)
    places = cell.positions @ np.linalg.inv(cell.cell)
    found = spglib.get_symmetry(
        (cell.cell.tolist(), places.tolist(), cell.numbers.tolist()), symprec=SYMMETRY
    )
    if found is None:
        return set(range(n))
    held = set()
    for atom in range(n):
        moved = found["rotations"] @ places[atom] + found["translations"] - places[atom]
        apart = np.linalg.norm((moved - np.round(moved)) @ cell.cell, axis=1)
        site = found["rotations"][apart < 2 * SYMMETRY]
        if np.abs(site.mean(axis=0)).max() < 1e-6:
            held.add(atom)
    return held
