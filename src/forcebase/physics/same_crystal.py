"""Which structures are one crystal, in cells of several sizes: found by their primitive cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAME_VOLUME = 1e-3
"""Relative, an atom: cells of one crystal that were written to different digits differ by less."""
SYMPREC = 1e-3
"""angstrom; atoms that differ from a smaller cell's by less are that cell's."""
SAME_LENGTH = 2e-3
"""angstrom, between lengths of two primitive cells of one crystal."""
FARTHEST = 6.0
"""angstrom; distances up to here tell crystals of one primitive lattice apart."""


def same_crystals(
    numbers: Sequence[NDArray[np.int64]], cells: Sequence[Array], positions: Sequence[Array]
) -> list[list[int]]:
    """Give groups of structures that are one crystal in cells of unlike numbers of atoms.

    Structures of one composition and volume an atom are reduced to primitive cells; where none is
    smaller, as in rattled supercells, the structure is a crystal of its own.

    Args:
        numbers: (n,) atomic numbers of each structure.
        cells: (3, 3) lattice vectors as rows, angstrom.
        positions: (n, 3) angstrom.

    Returns:
        Lists of two indices and more; the sizes in each are not all the same.
    """
    alike: dict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for index, kinds in enumerate(numbers):
        symbols, counts = np.unique(kinds, return_counts=True)
        divisor = int(np.gcd.reduce(counts))
        key = tuple((int(z), int(n // divisor)) for z, n in zip(symbols, counts, strict=True))
        alike[key].append(index)
    found = []
    for some in alike.values():
        volumes = {i: abs(np.linalg.det(cells[i])) / len(numbers[i]) for i in some}
        for near in _near(some, volumes):
            if len({len(numbers[i]) for i in near}) < 2:
                continue
            keys = {i: _primitive(numbers[i], cells[i], positions[i]) for i in near}
            found += _groups(keys, {i: len(numbers[i]) for i in near})
    return found


def _near(indices: Sequence[int], volumes: dict[int, float]) -> list[list[int]]:
    """Runs of structures whose volumes an atom are next to each other."""
    ordered = sorted(indices, key=lambda i: volumes[i])
    runs = [[ordered[0]]]
    for index in ordered[1:]:
        if volumes[index] <= volumes[runs[-1][-1]] * (1 + SAME_VOLUME):
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _primitive(numbers: NDArray[np.int64], cell: Array, positions: Array) -> Array | None:
    """What tells a primitive cell: its atoms, reduced lengths and distances; None without one."""
    import spglib

    fractional = np.linalg.solve(cell.T, positions.T).T
    asked = (cell.tolist(), fractional.tolist(), numbers.tolist())
    found = spglib.find_primitive(asked, symprec=SYMPREC)
    if found is None:
        return None
    lattice, sites, kinds = (np.asarray(part) for part in found)
    reduced = spglib.niggli_reduce(lattice, eps=1e-5)
    lengths = np.sort(np.linalg.norm(lattice if reduced is None else reduced, axis=1))
    return np.concatenate([[len(kinds)], lengths, _distances(lattice, sites, kinds)])


def _distances(lattice: Array, sites: Array, kinds: NDArray[Any]) -> Array:
    """Mean distance of each pair of elements within `FARTHEST`, whatever the setting."""
    from matscipy.neighbours import neighbour_list

    i, j, d = neighbour_list(
        "ijd", positions=sites @ lattice, cell=lattice, pbc=[True] * 3, cutoff=FARTHEST
    )
    elements = np.unique(kinds)
    return np.array(
        [
            np.sum((d**2 - FARTHEST**2)[(kinds[i] == a) & (kinds[j] == b)]) / len(kinds) / FARTHEST
            for a in elements
            for b in elements
        ]
    )


def _groups(keys: dict[int, Array | None], sizes: dict[int, int]) -> list[list[int]]:
    groups: list[list[int]] = []
    for index, key in keys.items():
        if key is None:
            continue
        for group in groups:
            other = keys[group[0]]
            if other is not None and _is_same(key, other):
                group.append(index)
                break
        else:
            groups.append([index])
    return [group for group in groups if len({sizes[i] for i in group}) > 1]


def _is_same(one: Array, other: Array) -> bool:
    if len(one) != len(other) or one[0] != other[0]:
        return False
    lengths = np.abs(one[1:4] - other[1:4]).max() < SAME_LENGTH
    return bool(lengths and np.allclose(one[4:], other[4:], rtol=2e-3, atol=2e-2))
