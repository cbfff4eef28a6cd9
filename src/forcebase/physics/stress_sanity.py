"""Whether stresses can be in eV/angstrom^3, tension positive: work against energy differences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forcebase.units import KBAR_TO_EV_PER_A3

LARGEST = 6.0
"""eV/angstrom^3, about 1000 GPa: beyond all that is calculated but by mistake."""
STRAIN = 0.12
"""Largest strain between two cells whose energies are compared by the trapezoidal rule."""
MOVE = 0.15
"""angstrom; largest move of an atom beside the strain, beyond which the forces are not linear."""
SIGNAL = 0.002
"""eV; smaller differences say nothing."""
ENOUGH = 3
"""Pairs of cells from which on something is said."""
TOLERANCE = 0.5
"""How far the slope may be from 1: units and signs are off by far more."""
ERRORS = 4.0
"""Standard errors that a slope must be away from 1 to be doubted."""
LOUD = 0.05
"""eV; with fewer pairs, each difference must be as large."""
ALIKE = 0.2
"""How near to a known mistake they must be then."""
UNITS = {1.0: "", 160.2177: " in 160 GPa", KBAR_TO_EV_PER_A3: " in kbar", 0.00624151: " in GPa"}
"""Slope -> the unit that gives it."""
NEXT = 12
"""Cells next in volume that each is compared with."""


@dataclass(frozen=True)
class LabelledCell:
    """A cell with its labels.

    Attributes:
        numbers: (n,) atomic numbers.
        cell: (3, 3) rows, angstrom.
        positions: (n, 3) angstrom.
        energy: eV.
        forces: (n, 3) eV/angstrom.
        stress: (6,) as given, to be judged.
    """

    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


def stress_doubt(cells: Sequence[LabelledCell]) -> str:
    """Say what is wrong with the stresses; "" where nothing is, or nothing can be said.

    Between two cells of the same atoms, the energy changes by the work of the forces and of
    the stress, V sigma : epsilon, each at its mean of the two ends. The slope of what is left of
    the energy against that work is 1 in the right unit and sign, -1 in the other sign, and 160.2
    or 1602 times smaller in GPa or kbar.
    """
    if not cells:
        return ""
    largest = max(float(np.abs(cell.stress).max()) for cell in cells)
    if largest > LARGEST:
        return (
            f"a stress of {largest:.3g} eV/angstrom^3 is no stress of a crystal: is it in GPa "
            "or kbar?"
        )
    works = np.array(list(stress_works(cells)), dtype=float).reshape(-1, 2)
    left, work = works[np.abs(works).max(axis=1) > SIGNAL].T
    if len(cells) > 1 and largest == 0:
        return "all of them are exactly zero: leave them out."
    if not work.any() or (len(work) < ENOUGH and not _plainly_wrong(left, work)):
        return ""
    slope = float(left @ work / (work @ work))
    spread = float(np.linalg.norm(left - slope * work) / np.linalg.norm(work))
    error = spread / np.sqrt(max(len(work) - 1, 1))
    doubtful = abs(slope - 1) > max(TOLERANCE, ERRORS * error)
    return _meaning(slope, len(work)) if doubtful else ""


def _plainly_wrong(left: NDArray[np.float64], work: NDArray[np.float64]) -> bool:
    """Whether the few pairs there are all show one known mistake, above any noise."""
    if not len(work) or np.abs(left).min() < LOUD or not work.all():
        return False
    slopes = left / work
    mistakes = [sign * size for size in UNITS for sign in (1, -1) if sign * size != 1]
    return any(bool((np.abs(slopes / mistake - 1) < ALIKE).all()) for mistake in mistakes)


def _meaning(slope: float, n: int) -> str:
    unit = next((name for size, name in UNITS.items() if 0.7 < abs(slope) / size < 1.4), "")
    sign = ", and positive under compression" if slope < 0 else ""
    return (
        f"against the energies of {n} pairs of neighbouring cells, the stress is off by a factor "
        f"of {1 / slope:.3g}{unit and f': it is{unit}'}{sign}."
    )


def stress_works(cells: Sequence[LabelledCell]) -> Iterator[tuple[float, float]]:
    """(energy difference less the work of the forces, work of the stress) of pairs, eV."""
    groups: dict[bytes, list[LabelledCell]] = defaultdict(list)
    for cell in cells:
        groups[np.asarray(cell.numbers).tobytes()].append(cell)
    for one, other in _pairs(groups.values()):
        strain = np.linalg.solve(one.cell, other.cell) - np.eye(3)
        symmetric = (strain + strain.T) / 2
        if np.abs(strain).max() > STRAIN:
            continue
        moved = other.positions - one.positions @ (np.eye(3) + strain)
        fraction = moved @ np.linalg.inv(other.cell)
        moved = (fraction - np.round(fraction)) @ other.cell
        if np.abs(moved).max() > MOVE:
            continue
        by_forces = -float(((one.forces + other.forces) / 2 * moved).sum())
        mean = (_work(one, symmetric) + _work(other, symmetric)) / 2
        yield other.energy - one.energy - by_forces, mean


def _pairs(
    groups: Iterable[list[LabelledCell]],
) -> Iterator[tuple[LabelledCell, LabelledCell]]:
    """Each cell with its next ones in volume: near in strain, and a number that stays linear."""
    for group in groups:
        ordered = sorted(group, key=lambda cell: abs(float(np.linalg.det(cell.cell))))
        for i, cell in enumerate(ordered):
            for other in ordered[i + 1 : i + 1 + NEXT]:
                yield cell, other


def _work(cell: LabelledCell, strain: NDArray[np.float64]) -> float:
    xx, yy, zz, yz, xz, xy = cell.stress
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return float(abs(np.linalg.det(cell.cell)) * (tensor * strain).sum())
