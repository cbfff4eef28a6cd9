"""Steps that choose n records among those that are good: far apart, or evenly from all strata."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.bounds import SEED, Bounds, check_bounds
from forcebase.curation.steps import CUTOFF, Dropped, Step
from forcebase.digest import bytes_digest
from forcebase.errors import InputError
from forcebase.frames import Frames

N_BINS = 24
STRATA = ("kind", "family", "composition")

NUMBER = Bounds(1, 1_000_000_000, whole=True)


@dataclass(frozen=True)
class FarthestPoint(Step):
    """Keep n structures that are far from each other, each the farthest from those before it.

    Time goes with records times n, memory with records (Gonzalez, Theor. Comput. Sci. 38, 293
    (1985)).

    Attributes:
        n: records to keep.
        cutoff: angstrom; the longest pair distance that tells structures apart.
    """

    name: ClassVar[str] = "farthest-point"
    selects: ClassVar[bool] = True
    n: int
    cutoff: float = 6.0

    def __post_init__(self) -> None:
        check_bounds(self, {"n": NUMBER, "cutoff": CUTOFF}, f"step {self.name}")

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop what is nearest to the chosen; where n or fewer are in, nothing."""
        indices = np.flatnonzero(kept)
        if len(indices) <= self.n:
            return []
        table = pair_densities(frames, indices, self.cutoff)
        chosen, gaps, nearest = _farthest(table, self.n)
        left = np.setdiff1d(np.arange(len(indices)), chosen)
        return [
            (
                int(indices[k]),
                f"not among the {self.n} farthest points: {gaps[k]:.4f} from "
                f"{frames.ids[indices[nearest[k]]]}, which is in",
            )
            for k in left
        ]


@dataclass(frozen=True)
class Stratified(Step):
    """Keep n records, as evenly from all strata as these have records.

    Attributes:
        n: records to keep.
        by: what makes a stratum: kind, family or composition.
        seed: another seed draws other records.
    """

    name: ClassVar[str] = "stratified"
    selects: ClassVar[bool] = True
    n: int
    by: str = "kind"
    seed: int = 0

    def __post_init__(self) -> None:
        check_bounds(self, {"n": NUMBER, "seed": SEED}, f"step {self.name}")
        if self.by not in STRATA:
            raise InputError(
                f"Step {self.name} knows no strata by {self.by!r}.",
                hint=f"Strata are by {', '.join(STRATA)}.",
            )

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop what is drawn late in a stratum that has its share; the draw is by hash."""
        strata: dict[str, list[int]] = defaultdict(list)
        for index in np.flatnonzero(kept):
            strata[_stratum(frames, int(index), self.by)].append(int(index))
        shares = _even_shares({name: len(members) for name, members in strata.items()}, self.n)
        dropped = []
        for name, members in strata.items():
            members.sort(key=lambda i: bytes_digest(f"{self.seed}/{frames.ids[i]}".encode()))
            dropped += [
                (
                    index,
                    f"number {place + 1} drawn of {self.by} {name or 'none'}, which has "
                    f"{len(members)} records and a share of {shares[name]}",
                )
                for place, index in enumerate(members)
                if place >= shares[name]
            ]
        return sorted(dropped)


def pair_densities(
    frames: Frames, indices: NDArray[np.int64], cutoff: float
) -> NDArray[np.float64]:
    """Count the neighbours of each pair of elements at each distance, smoothly, per atom.

    Args:
        frames: structures.
        indices: m of them.
        cutoff: angstrom.

    Returns:
        (m, pairs of elements x bins); each pair of atoms is shared between the two bins next to
        its distance, weighted by 1 - (distance / cutoff)^2, so that entries move continuously.
    """
    from matscipy.neighbours import neighbour_list

    offsets = frames.offsets
    elements = np.unique(frames.numbers)
    n_elements = len(elements)
    table = np.zeros((len(indices), n_elements * n_elements * (N_BINS + 1)), dtype=np.float64)
    for row, index in zip(table, indices, strict=True):
        rows = slice(offsets[index], offsets[index + 1])
        kinds = np.searchsorted(elements, frames.numbers[rows])
        i, j, distances = neighbour_list(
            "ijd",
            positions=frames.positions[rows],
            cell=frames.cells[index],
            pbc=frames.pbc[index],
            cutoff=cutoff,
        )
        pair = np.minimum(kinds[i], kinds[j]) * n_elements + np.maximum(kinds[i], kinds[j])
        place = np.minimum(distances / cutoff * N_BINS, N_BINS * (1 - 1e-12))
        low = place.astype(int)
        weight = 1 - (distances / cutoff) ** 2
        bins = pair * (N_BINS + 1) + low
        row += np.bincount(bins, weight * (1 - (place - low)), minlength=len(row))
        row += np.bincount(bins + 1, weight * (place - low), minlength=len(row))
        row /= len(kinds)
    return table[:, table.any(axis=0)]


def _farthest(
    table: NDArray[np.float64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Rows chosen, and for each row its distance from the nearest of them, and which that is."""
    first = int(np.argmax(np.linalg.norm(table - table.mean(axis=0), axis=1)))
    chosen = [first]
    gaps = np.linalg.norm(table - table[first], axis=1)
    nearest = np.full(len(table), first)
    while len(chosen) < n:
        gaps[chosen] = -1.0  # so that equal structures are not taken twice
        new = int(np.argmax(gaps))
        chosen.append(new)
        distances = np.linalg.norm(table - table[new], axis=1)
        nearer = distances < gaps
        nearest[nearer] = new
        gaps[nearer] = distances[nearer]
    return np.array(chosen), gaps, nearest


def _even_shares(sizes: dict[str, int], n: int) -> dict[str, int]:
    """Give each stratum the same share, small ones all they have; the rest by name."""
    shares: dict[str, int] = {}
    left = n
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    for place, name in enumerate(ordered):
        shares[name] = min(sizes[name], left // (len(ordered) - place))
        left -= shares[name]
    return shares


def _stratum(frames: Frames, index: int, by: str) -> str:
    if by == "kind":
        return str(frames.kinds[index])
    if by == "family":
        return str(frames.families[index])
    offsets = frames.offsets
    numbers, counts = np.unique(
        frames.numbers[offsets[index] : offsets[index + 1]], return_counts=True
    )
    divisor = int(np.gcd.reduce(counts))
    return "".join(
        f"{chemical_symbols[z]}{c // divisor}" for z, c in zip(numbers, counts, strict=True)
    )
