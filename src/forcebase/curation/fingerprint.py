"""A fingerprint by which near copies of a structure are found: its pair distances.

The distances between atoms, sorted for each pair of elements, do not change under rotation,
reflection, translation and renumbering of atoms. All distances longer than a cutoff count as
the cutoff itself, so the list has a defined length and moves continuously: when no atom has
moved by more than d (relative to the others), no entry has changed by more than 2 d. Two
structures further apart than the tolerance can therefore never be taken for near copies by
an accident of binning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forcebase.frames import Frames

N_PROBES = 16  # columns that pick candidates; all columns are then compared
N_HELD = 1024  # fingerprints kept for comparing, some MB


@dataclass(frozen=True)
class NearPair:
    """Two structures that are copies of each other within a tolerance.

    Attributes:
        first: index of the one that comes first, and is not a copy.
        second: index of the other.
        difference: largest difference of two matching pair distances, angstrom.
    """

    first: int
    second: int
    difference: float


def find_near_pairs(
    frames: Frames, indices: NDArray[np.int64], *, tolerance: float, cutoff: float
) -> list[NearPair]:
    """Find near copies among the structures at `indices`, each with those that it is a copy of.

    A structure that is a copy itself stands for no others, so that of a thousand copies there are
    a thousand pairs and not half a million.

    Args:
        frames: structures; only those of the same composition, count of atoms and
            periodicity are compared.
        indices: those to look at.
        tolerance: largest difference of matching pair distances, angstrom.
        cutoff: longest pair distance that is looked at, angstrom.
    """
    buckets: dict[bytes, list[int]] = defaultdict(list)
    offsets = frames.offsets
    for i in indices:
        elements = np.sort(frames.numbers[offsets[i] : offsets[i + 1]])
        buckets[elements.tobytes() + frames.pbc[i].tobytes()].append(int(i))
    return [
        pair
        for members in buckets.values()
        if len(members) > 1
        for pair in _pairs_in_bucket(frames, members, tolerance, cutoff)
    ]


def pair_distances(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    cutoff: float,
) -> dict[tuple[int, int], NDArray[np.float64]]:
    """Give the sorted distances below `cutoff` for each pair of elements, angstrom.

    Args:
        numbers: (n,) atomic numbers.
        positions: (n, 3) angstrom.
        cell: (3, 3) lattice vectors as rows, angstrom.
        pbc: (3,) booleans.
        cutoff: angstrom.

    Returns:
        (lower, higher atomic number) -> distances; each pair of atoms counts twice, as seen
        from either.
    """
    from matscipy.neighbours import neighbour_list

    i, j, distances = neighbour_list("ijd", positions=positions, cell=cell, pbc=pbc, cutoff=cutoff)
    low = np.minimum(numbers[i], numbers[j])
    high = np.maximum(numbers[i], numbers[j])
    elements = np.unique(numbers)
    return {
        (int(a), int(b)): np.sort(distances[(low == a) & (high == b)])
        for a in elements
        for b in elements
        if a <= b
    }


def _pairs_in_bucket(
    frames: Frames, members: list[int], tolerance: float, cutoff: float
) -> Iterator[NearPair]:
    """Near pairs by their second; few columns of all members are held, and all columns of few."""
    from scipy.spatial import cKDTree

    @lru_cache(maxsize=N_HELD)
    def fingerprint(member: int) -> dict[tuple[int, int], NDArray[np.float64]]:
        rows = slice(offsets[member], offsets[member + 1])
        numbers, positions = frames.numbers[rows], frames.positions[rows]
        return pair_distances(numbers, positions, frames.cells[member], frames.pbc[member], cutoff)

    offsets = frames.offsets
    ranks = _probe_ranks(fingerprint(members[0]))
    table = np.array([_probes(fingerprint(member), ranks, cutoff) for member in members])
    tree = cKDTree(table)
    is_copy = np.zeros(len(members), dtype=bool)
    for place, second in enumerate(members):
        near = np.array(tree.query_ball_point(table[place], tolerance, p=np.inf), dtype=int)
        for other in np.sort(near[(near < place) & ~is_copy[near]]):
            first = members[other]
            difference = _difference(fingerprint(first), fingerprint(second), cutoff)
            if difference <= tolerance:
                is_copy[place] = True
                yield NearPair(first, second, difference)


def _probe_ranks(
    distances: dict[tuple[int, int], NDArray[np.float64]],
) -> list[tuple[tuple[int, int], int]]:
    """Entries, by pair of elements and rank, that are compared first."""
    entries = [(key, rank) for key, found in distances.items() for rank in range(len(found) or 1)]
    return [entries[k] for k in np.unique(np.linspace(0, len(entries) - 1, N_PROBES).astype(int))]


def _probes(
    distances: dict[tuple[int, int], NDArray[np.float64]],
    ranks: list[tuple[tuple[int, int], int]],
    cutoff: float,
) -> list[float]:
    return [
        float(distances[key][rank]) if rank < len(distances[key]) else cutoff for key, rank in ranks
    ]


def _difference(
    one: dict[tuple[int, int], NDArray[np.float64]],
    other: dict[tuple[int, int], NDArray[np.float64]],
    cutoff: float,
) -> float:
    """Largest difference of matching entries; the shorter list goes on with the cutoff."""
    largest = 0.0
    for key, distances in one.items():
        short, long = sorted((distances, other[key]), key=len)
        n = len(short)
        gaps = np.concatenate([np.abs(long[:n] - short), cutoff - long[n:]])
        largest = max(largest, float(gaps.max(initial=0.0)))
    return largest
