"""How far a model's answers may differ when it is asked the same again: all tolerances, and why.

Last bits change with threads, batches, machines and versions of libraries. What differs by more is
another answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class LabelTolerance:
    """Of predictions for one geometry.

    Attributes:
        energy: eV/atom.
        relative: of the energy itself, beside that: it is a sum, rounded in its own precision, and
            total energies of all electrons are -1e5 eV an atom.
        force: eV/angstrom.
        stress: eV/angstrom^3.
    """

    energy: float
    relative: float
    force: float
    stress: float


LABELS = {
    # A structure's id holds its geometry to 1e-8 angstrom only: with a curvature of 100
    # eV/angstrom^2 two that have one id differ by 1e-6 eV/angstrom. Rounding stays at 1e-12.
    "float64": LabelTolerance(energy=1e-7, relative=1e-13, force=2e-6, stress=1e-7),
    # Rounding of 6e-8 in sums of some hundred terms of up to 10 eV; the models that are known here
    # stay below a tenth of it on a CPU. A GPU's order of summation changes with each run.
    "float32": LabelTolerance(energy=1e-4, relative=1e-6, force=1e-3, stress=1e-4),
}
"""By the precision that the model is applied in."""

SOFTEST = 0.1
"""eV/angstrom^2: curvature of the softest modes that a relaxation follows, bending of layers and
shear between them: forces below fmax leave atoms this much of a length undecided."""
MEAN = 1.0
"""eV/angstrom^2: the same of an atom on average, which decides the energy that is left."""
LARGEST_SHIFT = 0.1
"""angstrom; atoms that are further apart are not in the same minimum, whatever fmax is."""
STRAIN = 1.0
"""eV an atom: elastic modulus times volume of an atom, of soft crystals."""
THIRD = 100.0
"""eV/angstrom^3: how fast force constants change with the geometry, of stiff bonds."""
ROUNDING = 1e-6
"""eV/angstrom^2 of analytic force constants, which are in float64 whatever the model's dtype is:
the geometry is known to 1e-8 angstrom."""


@dataclass(frozen=True)
class RelaxationTolerance:
    """Of relaxations from one start to forces below fmax.

    Attributes:
        energy: eV/atom.
        length: angstrom, of atoms.
        strain: of the cell.
    """

    energy: float
    length: float
    strain: float


def relaxation_tolerance(dtype: str, fmax: float) -> RelaxationTolerance:
    """What follows from fmax, eV/angstrom, and the noise of forces in a precision."""
    labels = LABELS[dtype]
    force = fmax + labels.force
    return RelaxationTolerance(
        energy=labels.energy + force**2 / (2 * MEAN),
        length=min(force / SOFTEST, LARGEST_SHIFT),
        strain=min(force / STRAIN, LARGEST_SHIFT),
    )


def force_constant_tolerance(dtype: str, protocol: Mapping[str, Any]) -> float:
    """eV/angstrom^2: what follows from the relaxation before, and from the displacement.

    Args:
        dtype: of the model.
        protocol: of the phonon: fmax_eV_per_A, method, displacement_A, tolerance_eV_per_A2.
    """
    length = relaxation_tolerance(dtype, float(protocol.get("fmax_eV_per_A") or 0.0)).length
    if protocol.get("method") == "displacements":
        own = LABELS[dtype].force / float(protocol.get("displacement_A") or 0.01)
    else:
        own = ROUNDING + float(protocol.get("tolerance_eV_per_A2") or 0.0)
    return THIRD * length + own


@dataclass(frozen=True)
class Deviation:
    """Of two answers; infinite where they have not one shape, or where a number is none.

    Attributes:
        energy: eV/atom.
        force: eV/angstrom.
        stress: eV/angstrom^3; 0 where one of them has none.
        allowed: eV/atom, for this energy.
    """

    energy: float
    force: float
    stress: float
    allowed: float

    def is_within(self, tolerance: LabelTolerance) -> bool:
        """Whether the answers are the same."""
        found = (self.energy, self.force, self.stress)
        allowed = (self.allowed, tolerance.force, tolerance.stress)
        return all(a <= b for a, b in zip(found, allowed, strict=True))


def label_deviation(
    one: tuple[float, ArrayLike, ArrayLike | None],
    other: tuple[float, ArrayLike, ArrayLike | None],
    tolerance: LabelTolerance,
) -> Deviation:
    """Compare two labels of one geometry.

    Args:
        one: energy in eV, forces (n, 3) in eV/angstrom, stress (6,) in eV/angstrom^3 or None.
        other: the same, which was asked for again.
        tolerance: by the model's precision.
    """
    n = max(1, np.asarray(one[1]).size // 3)
    stresses = None if one[2] is None or other[2] is None else (one[2], other[2])
    return Deviation(
        energy=largest_difference(one[0], other[0]) / n,
        force=largest_difference(one[1], other[1]),
        stress=0.0 if stresses is None else largest_difference(*stresses),
        allowed=tolerance.energy + tolerance.relative * abs(float(one[0])) / n,
    )


def largest_difference(one: ArrayLike, other: ArrayLike) -> float:
    """The largest of two arrays; infinite where their shapes differ or a number is none."""
    left, right = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if left.shape != right.shape:
        return float("inf")
    found = float(np.abs(left - right).max(initial=0.0))
    return found if np.isfinite(found) else float("inf")


def geometry_deviation(
    cells: tuple[NDArray[np.float64], NDArray[np.float64]],
    positions: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[float, float]:
    """How far two geometries of the same atoms are apart, a shift of all atoms left out.

    Args:
        cells: two, (3, 3), lattice vectors as rows, angstrom.
        positions: two, (n, 3) angstrom, the atoms in one order.

    Returns:
        The largest distance of an atom in the first cell, angstrom, and the largest strain.
    """
    if positions[0].shape != positions[1].shape:
        return float("inf"), float("inf")
    strain = np.linalg.solve(cells[0], cells[1]) - np.eye(3)
    fractional = [
        np.linalg.solve(cell.T, xyz.T).T for cell, xyz in zip(cells, positions, strict=True)
    ]
    moved = fractional[1] - fractional[0]
    moved -= np.round(moved)
    moved -= moved.mean(axis=0)
    shifts = np.linalg.norm(moved @ cells[0], axis=1)
    return float(shifts.max(initial=0.0)), float(np.abs(strain).max())
