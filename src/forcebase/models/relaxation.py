"""Relaxing a structure with a calculator, a vacuum axis staying as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from numpy.typing import NDArray

from forcebase.errors import CalculationError
from forcebase.physics.periodicity import strain_mask, vacuum_axes

SYMMETRY_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Relaxation:
    """A relaxed structure and how far it came.

    Attributes:
        atoms: relaxed, without calculator or constraint.
        converged: whether all gradients are below what was asked for.
        steps: taken by the optimiser.
        energy: eV.
        max_force: largest |F| of an atom, eV/angstrom.
        max_gradient: the same with the cell's gradients, by ASE's measure.
        stress: (6,) eV/angstrom^3, ASE Voigt order.
        fixed_axes: lattice axes with vacuum, which kept their length.
    """

    atoms: Atoms
    converged: bool
    steps: int
    energy: float
    max_force: float
    max_gradient: float
    stress: NDArray[np.float64]
    fixed_axes: tuple[bool, bool, bool]


def relax(
    atoms: Atoms,
    calculator: Calculator,
    fmax: float = 1e-4,
    max_steps: int = 500,
    on_step: Callable[[int, float], None] = lambda step, force: None,
) -> Relaxation:
    """Relax positions and the periodic part of the cell, keeping the symmetry.

    What was reached within `max_steps` is given back, converged or not: see `converged`.

    Args:
        atoms: the start; a vacuum axis is found from it and stays as it is.
        calculator: ASE's.
        fmax: largest force, eV/angstrom, and largest cell gradient by ASE's measure.
        max_steps: at most so many.
        on_step: told of (step, largest force).

    Raises:
        CalculationError: a force that is not a number.
    """
    moving = atoms.copy()
    moving.calc = calculator
    fixed = vacuum_axes(moving.cell.array, moving.positions, moving.pbc)
    moving.set_constraint(FixSymmetry(moving, symprec=SYMMETRY_TOLERANCE))
    mask = strain_mask(fixed, moving.cell.array)
    cell_filter: Any = FrechetCellFilter(moving, mask=mask)  # ASE types it as Atoms
    optimizer = BFGS(cell_filter, logfile=None)
    optimizer.attach(lambda: on_step(optimizer.nsteps, _finite_force(moving)))
    converged = optimizer.run(fmax=fmax, steps=max_steps)
    relaxed = Atoms(moving.numbers, moving.positions, cell=moving.cell.array, pbc=moving.pbc)
    return Relaxation(
        atoms=relaxed,
        converged=bool(converged),
        steps=int(optimizer.nsteps),
        energy=float(moving.get_potential_energy()),
        max_force=_largest(moving),
        max_gradient=float(np.linalg.norm(cell_filter.get_forces(), axis=1).max()),
        stress=np.asarray(moving.get_stress(apply_constraint=False), dtype=float),
        fixed_axes=fixed,
    )


def _finite_force(atoms: Atoms) -> float:
    force = _largest(atoms)
    if not np.isfinite(force):
        raise CalculationError(
            "The relaxation failed: a force is NaN or infinite.",
            hint="The calculator does not hold for this structure; look at its distances.",
        )
    return force


def _largest(atoms: Atoms) -> float:
    return float(np.linalg.norm(atoms.get_forces(apply_constraint=False), axis=1).max())
