"""Stresses of one crystal in several cells: by component where its cells are not turned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WHOLE = 2e-3
"""How far multiples of lattice vectors may be from whole numbers."""
SAME_PLACE = 0.02
"""angstrom, of atoms that are one."""
COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
PRINCIPAL = "principal values, for the cells are turned against each other"


def is_multiple(
    small: tuple[NDArray[np.int64], Array, Array], large: tuple[NDArray[np.int64], Array, Array]
) -> bool:
    """Whether a cell is several of a smaller one as it stands, its origin aside.

    Args:
        small: (n,) atomic numbers, (3, 3) lattice vectors as rows and (n, 3) positions, angstrom.
        large: the same of the larger cell.
    """
    multiples = large[1] @ np.linalg.inv(small[1])
    if np.abs(multiples - np.round(multiples)).max() > WHOLE:
        return False
    kinds, counts = np.unique(small[0], return_counts=True)
    rarest = kinds[np.argmin(counts)]
    first = large[2][np.flatnonzero(large[0] == rarest)[:1]]
    return len(first) > 0 and any(
        _falls_on(small, large, place - first[0]) for place in small[2][small[0] == rarest]
    )


def _falls_on(
    small: tuple[NDArray[np.int64], Array, Array],
    large: tuple[NDArray[np.int64], Array, Array],
    shift: Array,
) -> bool:
    """Whether all atoms of the larger cell, shifted, are atoms of the smaller one."""
    inverse = np.linalg.inv(small[1])
    places = small[2] @ inverse
    for kind in np.unique(large[0]):
        among = places[small[0] == kind]
        moved = (large[2][large[0] == kind] + shift) @ inverse
        if not len(among):
            return False
        apart = moved[:, None] - among[None]
        apart -= np.round(apart)
        if np.linalg.norm(apart @ small[1], axis=2).min(axis=1).max() > SAME_PLACE:
            return False
    return True


def principal_stresses(stress: Array) -> Array:
    """(3,) sorted principal values of a (6,) stress in ASE's order, the same in all settings."""
    xx, yy, zz, yz, xz, xy = stress
    return np.asarray(np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))


def farthest_stresses(
    stresses: Sequence[Array], aligned: Sequence[bool]
) -> tuple[float, int, int, str]:
    """The largest difference of stresses of one crystal, and between which of them.

    Args:
        stresses: (6,) each, ASE's order.
        aligned: of each, whether its cell stands as the first one's; others are compared by their
            principal values.

    Returns:
        difference, the two indices (less, more), and what differs: "yz", or `PRINCIPAL`.
    """
    best = (0.0, 0, 0, "")
    inside = [i for i, same in enumerate(aligned) if same]
    groups: list[tuple[list[int], Array, tuple[str, ...]]] = []
    groups.append((inside, np.array([stresses[i] for i in inside]), COMPONENTS))
    if len(inside) < len(stresses):
        every = np.array([principal_stresses(stress) for stress in stresses])
        groups.append((list(range(len(stresses))), every, (PRINCIPAL,) * 3))
    for indices, values, names in groups:
        if len(indices) < 2:
            continue
        spread = np.ptp(values, axis=0)
        column = int(np.argmax(spread))
        if spread[column] > best[0]:
            low, high = np.argmin(values[:, column]), np.argmax(values[:, column])
            best = (float(spread[column]), indices[low], indices[high], names[column])
    return best
