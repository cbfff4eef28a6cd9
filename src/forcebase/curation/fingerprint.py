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
from dataclasses import dataclass

import numpy as np
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from forcebase.frames import Frames

N_PROBES = 16  # columns that pick candidates; all columns are then compared


@dataclass(frozen=True)
class NearPair:
    """Two structures that are copies of each other within a tolerance.

    Attributes:
        first: index of the one that comes first.
        second: index of the other.
        difference: largest difference of two matching pair distances, angstrom.
    """

    first: int
    second: int
    difference: float


def find_near_pairs(
    frames: Frames, indices: NDArray[np.int64], *, tolerance: float, cutoff: float
) -> list[NearPair]:
    """Find near copies among the structures at `indices`.

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
    pairs = []
    for members in buckets.values():
        if len(members) > 1:
            pairs += _pairs_in_bucket(frames, members, tolerance, cutoff)
    return pairs


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
) -> list[NearPair]:
    table = _fingerprints(frames, members, cutoff)
    probes = np.unique(np.linspace(0, table.shape[1] - 1, N_PROBES).astype(int))
    candidates = cKDTree(table[:, probes]).query_pairs(tolerance, p=np.inf, output_type="ndarray")
    pairs = []
    for a, b in candidates:
        difference = float(np.abs(table[a] - table[b]).max())
        if difference <= tolerance:
            first, second = sorted((members[a], members[b]))
            pairs.append(NearPair(first, second, difference))
    return pairs


def _fingerprints(frames: Frames, members: list[int], cutoff: float) -> NDArray[np.float64]:
    """(members, entries) pair distances, angstrom, filled up with the cutoff."""
    offsets = frames.offsets
    lists = []
    for i in members:
        rows = slice(offsets[i], offsets[i + 1])
        lists.append(
            pair_distances(
                frames.numbers[rows], frames.positions[rows], frames.cells[i], frames.pbc[i], cutoff
            )
        )
    blocks = []
    for key in lists[0]:
        width = max(1, *(len(distances[key]) for distances in lists))
        block = np.full((len(members), width), cutoff)
        for row, distances in zip(block, lists, strict=True):
            row[: len(distances[key])] = distances[key]
        blocks.append(block)
    return np.hstack(blocks)
