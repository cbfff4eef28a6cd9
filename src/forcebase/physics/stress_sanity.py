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
SIGNAL = 0.005
"""eV; smaller works of the stress say nothing."""
PAIRS = 400
ENOUGH = 3
TRUSTED = 0.9
"""Correlation from which on the slope is believed."""


@dataclass(frozen=True)
class LabelledCell:
    """A cell with its labels: numbers (n,), cell (3, 3), positions and forces (n, 3), stress (6,)."""

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
    works = np.array(list(_works(cells)), dtype=float).reshape(-1, 2)
    rows = works[np.abs(works[:, 1]) > SIGNAL]
    left, work = rows[np.argsort(-np.abs(rows[:, 1]))].T if len(rows) else np.empty((2, 0))
    weak = _tiny(works)
    if weak:
        return weak
    if len(work) < ENOUGH:
        return ""
    slope = float(left @ work / (work @ work))
    correlation = float(left @ work / np.sqrt((left @ left) * (work @ work)))
    if abs(correlation) < TRUSTED or 0.5 < slope < 2.0:
        return ""
    return _meaning(slope, len(work))


def _tiny(works: NDArray[np.float64]) -> str:
    """Stresses so small that they do no work while the energy changes with the cell."""
    left, work = works.T
    if len(works) < ENOUGH or np.abs(left).max() < 20 * SIGNAL or not work.any():
        return ""
    slope = float(left @ work / (work @ work))
    correlation = float(left @ work / np.sqrt((left @ left) * (work @ work)))
    return _meaning(slope, len(works)) if abs(correlation) > TRUSTED and abs(slope) > 10 else ""


def _meaning(slope: float, n: int) -> str:
    units = {1.0: "", 160.2177: " in 160 GPa", KBAR_TO_EV_PER_A3: " in kbar", 0.00624151: " in GPa"}
    unit = next((name for size, name in units.items() if 0.7 < abs(slope) / size < 1.4), "")
    sign = ", and positive under compression" if slope < 0 else ""
    return (
        f"against the energies of {n} pairs of neighbouring cells, the stress is off by a factor "
        f"of {1 / slope:.3g}{unit and f': it is{unit}'}{sign}."
    )


def _works(cells: Sequence[LabelledCell]) -> Iterator[tuple[float, float]]:
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
        by_forces = -float(((one.forces + other.forces) / 2 * moved).sum())
        mean = (_work(one, symmetric) + _work(other, symmetric)) / 2
        yield other.energy - one.energy - by_forces, mean


def _pairs(
    groups: Iterable[list[LabelledCell]],
) -> Iterator[tuple[LabelledCell, LabelledCell]]:
    """Each cell with its next ones in volume: near in strain, and a number that stays linear."""
    count = 0
    for group in groups:
        ordered = sorted(group, key=lambda cell: abs(float(np.linalg.det(cell.cell))))
        for i, cell in enumerate(ordered):
            for other in ordered[i + 1 : i + 4]:
                if count == PAIRS:
                    return
                count += 1
                yield cell, other


def _work(cell: LabelledCell, strain: NDArray[np.float64]) -> float:
    xx, yy, zz, yz, xz, xy = cell.stress
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return float(abs(np.linalg.det(cell.cell)) * (tensor * strain).sum())
