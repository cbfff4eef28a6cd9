"""Pairs of neighbouring cells: what the energy changes by, and the work of forces and stress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.labelled_cell import LabelledCell

STRAIN = 0.12
"""Largest strain between two cells whose energies are compared by the trapezoidal rule."""
MOVE = 0.15
"""angstrom; largest move of an atom beside the strain, beyond which the forces are not linear."""
NEXT = 12
"""Cells next in volume that each is compared with."""
ANHARMONIC = 0.6
"""The rule's error is of third order in the strain: this times the strain and the change of the
work. Under pressure it is (B' + 1)/12, with B' of 4 to 6 in most solids."""
GRUENEISEN = 1.2
"""A volume changes the springs that moved atoms work against: the rule is off by half of the
Grueneisen parameter, 2 to 3 in most solids, times dV/V and the change of the forces' work.
Where all cells are rattled alike, that grows with the volume as a constant pressure does."""
NOISE = 0.001
"""eV; of energies."""


@dataclass(frozen=True)
class StressPair:
    """Two neighbouring cells: what the energy changes by, and what is said of it, eV.

    Attributes:
        n_atoms: of each cell.
        energy: difference.
        by_forces: work of the forces beside the strain.
        diagonal: work of the stresses xx, yy, zz.
        shears: (3, 3) work of each given shear, rows, by the strain yz, xz, xy, columns.
        volume: its change, angstrom^3.
        error: what the trapezoidal rule may be off by, of the strain alone.
        of_moves: the same of atoms that moved as the cell was strained.
    """

    n_atoms: int
    energy: float
    by_forces: float
    diagonal: float
    shears: NDArray[np.float64]
    volume: float
    error: float
    of_moves: float

    @property
    def left(self) -> float:
        """What the work of the forces leaves of the energy."""
        return self.energy - self.by_forces

    @property
    def work(self) -> float:
        """Of the stress."""
        return self.diagonal + float(np.trace(self.shears))


def stress_pairs(cells: Sequence[LabelledCell]) -> Iterator[StressPair]:
    """Neighbouring cells of the same atoms, near enough for the trapezoidal rule."""
    groups: dict[bytes, list[LabelledCell]] = defaultdict(list)
    for cell in cells:
        groups[np.asarray(cell.numbers).tobytes()].append(cell)
    for one, other in _pairs(groups.values()):
        stretch = np.linalg.solve(one.cell, other.cell)
        strain = stretch - np.eye(3)
        if np.abs(strain).max() > STRAIN:
            continue
        moved = other.positions - one.positions @ stretch
        fraction = moved @ np.linalg.inv(other.cell)
        fraction -= np.round(fraction)
        moves = (fraction @ one.cell, fraction @ other.cell)
        if np.abs(moves[1]).max() > MOVE:
            continue
        works = [-float((c.forces * m).sum()) for c, m in zip((one, other), moves, strict=True)]
        volumes = [abs(float(np.linalg.det(cell.cell))) for cell in (one, other)]
        # each stress does its work on the strain as seen from its own cell
        strains = [(e + e.T) / 2 for e in (strain, np.eye(3) - np.linalg.inv(stretch))]
        ends = list(zip(volumes, map(stress_of, (one, other)), strains, strict=True))
        diagonals = [float(v * s[:3] @ np.diag(e)) for v, s, e in ends]
        shears = [np.outer(v * s[3:], 2 * e[[1, 0, 0], [2, 2, 1]]) for v, s, e in ends]
        change = diagonals[1] - diagonals[0] + float(np.trace(shears[1] - shears[0]))
        yield StressPair(
            n_atoms=len(one.numbers),
            energy=float(other.energy - one.energy),
            by_forces=sum(works) / 2,
            diagonal=sum(diagonals) / 2,
            shears=(shears[0] + shears[1]) / 2,
            volume=volumes[1] - volumes[0],
            error=float(np.hypot(NOISE, ANHARMONIC * np.abs(strains[0]).sum() * change)),
            of_moves=GRUENEISEN * abs((volumes[1] / volumes[0] - 1) * (works[1] - works[0])),
        )


def _pairs(
    groups: Iterable[list[LabelledCell]],
) -> Iterator[tuple[LabelledCell, LabelledCell]]:
    """Each cell with its next ones in volume: near in strain, and a number that stays linear."""
    for group in groups:
        ordered = sorted(group, key=lambda cell: abs(float(np.linalg.det(cell.cell))))
        for i, cell in enumerate(ordered):
            for other in ordered[i + 1 : i + 1 + NEXT]:
                yield cell, other


def stress_of(cell: LabelledCell) -> NDArray[np.float64]:
    """(6,) eV/angstrom^3, ASE's order; zero where the cell has none."""
    return np.zeros(6) if cell.stress is None else np.asarray(cell.stress, dtype=float)
