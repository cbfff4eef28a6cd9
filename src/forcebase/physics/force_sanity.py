"""Whether forces can be in eV/angstrom, of the right sign and order: work against energies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import t as student

from forcebase.physics.labelled_cell import LabelledCell

SAME_CELL = 1e-4
"""angstrom; largest difference of lattice vectors that are one cell."""
MOVE = 0.5
"""angstrom; largest move of an atom between two frames that the trapezoidal rule is used for."""
ANHARMONIC = 0.25
"""1/angstrom; the rule's error is of third order in the move: for each atom this times its move and
its part of the curvature. 3 a / 12 is 0.4 of Morse's potential for metals, in which the terms of
neighbours on either side of an atom cancel in part."""
NOISE = (2e-4, 1e-3)
"""eV; smaller differences of energies say nothing: a share of the usual one, within these."""
SHARE = 0.02
"""Of the usual difference, for energies in a larger unit than eV are smaller numbers."""
CLEAR = 2.0
"""Errors of the rule that a difference must exceed to say something."""
ENOUGH = 3
"""Pairs of frames from which on a slope is judged."""
MANY = 6
"""Pairs from which on another order of the atoms is looked for."""
TOLERANCE = 0.5
"""How far the slope may be from 1: units and signs are off by far more, smearing by far less."""
CHANCE = 5e-4
"""Of a slope so far from 1 where it is 1: three to five standard errors, more of few frames."""
LOUD = 0.05
"""eV; with fewer pairs, each difference must be as large."""
ALIKE = 0.2
"""How near to a known mistake they must be then."""
NAMED = 0.35
"""How far the logarithm of a slope may be from that of a mistake that is named for it."""
CELLS_AT_ONCE = 200
"""Frames of one cell whose nearest ones are looked for together."""
NEAREST = 6
"""Frames nearest in configuration that each is compared with."""
LARGEST_ORDER = 400
"""Atoms; larger cells are not searched for another order."""
BOHR = 0.529177
MISTAKES = {
    1.0: "they are gradients, -F",
    1 / BOHR: "energies and forces are both in atomic units (Hartree and Hartree/bohr, or Rydberg)",
    27.2114 / BOHR: "the forces are in Hartree/bohr",
    13.6057 / BOHR: "the forces are in Rydberg/bohr",
    27.2114: "the forces are in Hartree/angstrom",
    1 / 27.2114: "the energies are in Hartree",
    1 / 13.6057: "the energies are in Rydberg",
    23.0605: "the energies are in kcal/mol",
    1 / 23.0605: "the forces are in kcal/mol/angstrom",
    96.4853: "the energies are in kJ/mol",
    1 / 96.4853: "the forces are in kJ/mol/angstrom",
    1000.0: "the energies are in meV",
    0.001: "the forces are in meV/angstrom",
}
"""Slope without its sign -> what gives it."""


@dataclass(frozen=True)
class ForceCheck:
    """What comparing forces with energies gave.

    Attributes:
        doubt: what is wrong; "" where nothing is known to be.
        slope: of the energy against the work of the forces; None where no pair says anything.
        pairs: of frames of one cell that say something.
    """

    doubt: str
    slope: float | None
    pairs: int


@dataclass(frozen=True)
class _Pair:
    """Two frames of one cell.

    Attributes:
        moved: (n, 3) of the second from the first, minimum image, angstrom.
        mean: (n, 3) mean of the forces.
        change: (n, 3) of the forces.
        energy: difference, eV.
        error: what the trapezoidal rule may be off by, eV.
    """

    moved: NDArray[np.float64]
    mean: NDArray[np.float64]
    change: NDArray[np.float64]
    energy: float
    error: float

    @property
    def work(self) -> float:
        """Of the forces, taken off: the change of energy that they say, eV."""
        return -float((self.mean * self.moved).sum())

    @property
    def says_something(self) -> bool:
        return max(abs(self.energy), abs(self.work)) > CLEAR * self.error


@dataclass(frozen=True)
class _Group:
    """Frames of one cell, species and order, in pairs."""

    frames: int
    pairs: list[_Pair]


def check_forces(cells: Sequence[LabelledCell]) -> ForceCheck:
    """Compare forces with energies.

    Between two frames of one cell the energy changes by the work of the forces, which the mean of
    the two ends gives to second order in the displacement. The slope of the one against the other
    is 1, -1 where gradients stand for forces, and the ratio of the units where these are not eV
    and angstrom; forces of other atoms have none. Cells are judged together and each by itself.
    """
    groups = [group for group in map(_paired, _of_one_cell(cells)) if group.pairs]
    found = _judged(groups)
    if not found.doubt and len(groups) > 1:
        alone = (_judged([group]) for group in groups)
        found = next((one for one in alone if one.doubt), found)
    return found


def _of_one_cell(cells: Sequence[LabelledCell]) -> Iterable[list[LabelledCell]]:
    groups: dict[tuple[bytes, bytes], list[LabelledCell]] = defaultdict(list)
    for cell in cells:
        lattice = np.round(np.asarray(cell.cell) / SAME_CELL).astype(np.int64)
        groups[np.asarray(cell.numbers).tobytes(), lattice.tobytes()].append(cell)
    return [group for group in groups.values() if len(group) > 1]


def _paired(group: list[LabelledCell]) -> _Group:
    pairs = []
    for start in range(0, len(group), CELLS_AT_ONCE):
        some = group[start : start + CELLS_AT_ONCE + 1]  # one more, so that the parts are joined
        noise = float(np.clip(SHARE * np.std([one.energy for one in some]), *NOISE))
        pairs += [pair for i, j in _neighbours(some) if (pair := _pair(some[i], some[j], noise))]
    return _Group(len(group), [pair for pair in pairs if pair.says_something])


def _neighbours(group: list[LabelledCell]) -> list[tuple[int, int]]:
    """Pairs of each frame with its nearest ones and with the next, each once."""
    cell, n = np.asarray(group[0].cell, dtype=float), len(group)
    wanted = {(i, i + 1) for i in range(n - 1)}
    inverse = np.linalg.inv(cell)
    places = np.array([one.positions @ inverse for one in group]).reshape(n, -1, 3)
    for i in range(n - 1):
        apart = places[i + 1 :] - places[i]
        far = np.linalg.norm((apart - np.round(apart)) @ cell, axis=(1, 2))
        wanted.update((i, i + 1 + int(k)) for k in np.argsort(far, kind="stable")[:NEAREST])
    return sorted(wanted)


def _pair(one: LabelledCell, other: LabelledCell, noise: float) -> _Pair | None:
    """None where an atom moved too far for the rule, or none did."""
    apart = (other.positions - one.positions) @ np.linalg.inv(one.cell)
    moved = (apart - np.round(apart)) @ one.cell
    far = np.linalg.norm(moved, axis=1)
    if not 0 < far.max() <= MOVE:
        return None
    change = other.forces - one.forces
    third = ANHARMONIC * float(np.linalg.norm(far * (change * moved).sum(axis=1)))
    error = float(np.hypot(noise, third))
    mean = (one.forces + other.forces) / 2
    return _Pair(moved, mean, change, float(other.energy - one.energy), error)


def _judged(groups: Sequence[_Group]) -> ForceCheck:
    pairs = [pair for group in groups for pair in group.pairs]
    if not pairs:
        return ForceCheck("", None, 0)
    energy = np.array([pair.energy for pair in pairs])
    work = np.array([pair.work for pair in pairs])
    weight = np.array([pair.error for pair in pairs]) ** -2.0
    if not work.any():
        return ForceCheck(_all_zero(pairs), None, len(pairs))
    slope = float((weight * energy) @ work / ((weight * work) @ work))
    n_atoms = {len(pair.moved) for pair in pairs}
    if len(pairs) < ENOUGH:
        wrong = _plainly_wrong(energy, work, n_atoms)
        return ForceCheck(_meaning(slope, len(pairs), n_atoms) if wrong else "", slope, len(pairs))
    # n frames of one cell have n - 1 independent differences, however many pairs they make
    freedom = max(sum(group.frames - 1 for group in groups), 1)
    rest = float((weight * (energy - slope * work) ** 2).sum())
    scale = max(rest / len(pairs), 1.0)
    error = float(np.sqrt(scale * len(pairs) / freedom / ((weight * work) @ work)))
    off = abs(slope - 1) > max(TOLERANCE, float(student.isf(CHANCE, freedom)) * error)
    if off and abs(_median(energy / np.where(work == 0, np.inf, work), work) - 1) > TOLERANCE:
        return ForceCheck(_meaning(slope, len(pairs), n_atoms), slope, len(pairs))
    doubt = _another_order(groups, energy, work)
    return ForceCheck(doubt, slope, len(pairs))


def _median(slopes: NDArray[np.float64], work: NDArray[np.float64]) -> float:
    """Of the pairs' slopes, each as often as its work is large: one wrong frame does not decide."""
    order = np.argsort(slopes)
    sums = np.cumsum(np.abs(work)[order])
    return float(slopes[order][np.searchsorted(sums, sums[-1] / 2)])


def _all_zero(pairs: Sequence[_Pair]) -> str:
    if any(pair.mean.any() or pair.change.any() for pair in pairs):
        return ""
    return "all forces are exactly zero, while the energies of one cell change with its atoms."


def _plainly_wrong(
    energy: NDArray[np.float64], work: NDArray[np.float64], n_atoms: set[int]
) -> bool:
    """Whether the few pairs there are all show one known mistake, above any noise."""
    if np.abs(energy).min() < LOUD or not work.all():
        return False
    slopes = energy / work
    known = [sign * size for size in MISTAKES for sign in (1, -1) if sign * size != 1]
    known += [1 / n for n in n_atoms if n > 2]
    return any(bool((np.abs(slopes / mistake - 1) < ALIKE).all()) for mistake in known)


def _meaning(slope: float, n: int, n_atoms: set[int]) -> str:
    return (
        f"between {n} pairs of frames of one cell, energies and forces contradict each other: the "
        f"slope of the energy against the work of the forces is {slope:.3g}, not 1"
        f"{mistakes_of(slope, n_atoms)}."
    )


def mistakes_of(slope: float, n_atoms: set[int], what: str = "") -> str:
    """Name the known mistakes that give a slope, the nearest first; some are near each other.

    Args:
        slope: of the energy against the work of the forces.
        n_atoms: in the cells.
        what: "energies" or "forces", where the others are known to be right.

    Returns:
        ": the forces are in Hartree/bohr", or "" where none is known to give it.
    """
    size = max(abs(slope), 1e-9)
    known = {**MISTAKES, **({1 / min(n_atoms): "the energies are per atom"} if n_atoms else {})}
    if slope > 0:
        del known[1.0]
    right = {"energies": "the forces", "forces": "the energies"}.get(what)
    likely = sorted(
        (abs(float(np.log(size / mistake))), name)
        for mistake, name in known.items()
        if abs(float(np.log(size / mistake))) < NAMED and not (right and name.startswith(right))
    )
    if not likely and what:
        return ""
    if not likely:
        shuffled = ": the forces seem to be of other atoms or frames, or in another order"
        return shuffled if size < TOLERANCE else ""
    gradients = " (and gradients, -F)" if slope < 0 and likely[0][1] != MISTAKES[1.0] else ""
    return f": {' or '.join(name for _, name in likely)}{gradients}"


def _another_order(
    groups: Sequence[_Group], energy: NDArray[np.float64], work: NDArray[np.float64]
) -> str:
    """Say so where the forces explain the energies in another order of the atoms, and only there.

    The atom whose force answers a move most is the one that moved: that gives an order, and the
    energies, which had no part in it, tell whether it is the right one.
    """
    pairs = [pair for group in groups for pair in group.pairs]
    if len(pairs) < MANY or _explained(energy, work) > 0.5:
        return ""
    sizes = {len(pair.moved) for pair in pairs}
    if len(sizes) > 1 or not 1 < (n := sizes.pop()) <= LARGEST_ORDER:
        return ""
    answers = np.zeros((n, n))
    for pair in pairs:
        answers -= pair.moved @ pair.change.T
    order = linear_sum_assignment(answers, maximize=True)[1]
    if np.array_equal(order, np.arange(n)):
        return ""
    turned = np.array([-float((pair.mean[order] * pair.moved).sum()) for pair in pairs])
    if _explained(energy, turned) < 0.8:
        return ""
    moved = int((order != np.arange(n)).sum())
    return (
        f"between {len(pairs)} pairs of frames of one cell, the work of the forces has nothing to "
        f"do with the energies (slope {float(energy @ work / (work @ work)):.3g}), but has with "
        f"the forces of {moved} atoms in another order: they are not in the order of the atoms."
    )


def _explained(energy: NDArray[np.float64], work: NDArray[np.float64]) -> float:
    """Share of the energies' differences that the work accounts for; below 0 where it adds."""
    return 1 - float(((energy - work) ** 2).sum() / (energy @ energy or 1.0))
