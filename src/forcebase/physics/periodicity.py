"""Periodicity: along which lattice directions a structure repeats, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError

MIN_GAP = 6.0
"""angstrom without atoms from which a gap counts as vacuum; twice a long chemical bond."""

AXIS_TOLERANCE = 1e-3
"""Sine of the angle up to which a lattice direction counts as Cartesian."""

ROUNDING = 1e-6
"""A mesh that is this close to a whole number is that number."""


@dataclass(frozen=True)
class Periodicity:
    """How a structure repeats.

    Attributes:
        vacuum_axes: for each lattice direction, whether it crosses vacuum.
    """

    vacuum_axes: tuple[bool, bool, bool]

    @property
    def dimension(self) -> int:
        """3 for a bulk crystal, 2 a layer, 1 a chain, 0 a molecule."""
        return 3 - sum(self.vacuum_axes)


def periodicity(
    cell: ArrayLike, positions: ArrayLike, pbc: Sequence[bool] | None = None
) -> Periodicity:
    """Tell bulk, layer, chain and molecule apart; arguments as in `vacuum_axes`."""
    return Periodicity(vacuum_axes(cell, positions, pbc))


def vacuum_axes(
    cell: ArrayLike,
    positions: ArrayLike,
    pbc: Sequence[bool] | None = None,
    min_gap: float = MIN_GAP,
) -> tuple[bool, bool, bool]:
    """Find the lattice directions that cross a slab free of atoms.

    Args:
        cell: (3, 3) lattice vectors as rows, angstrom.
        positions: (n, 3) Cartesian, angstrom; wrapped or not.
        pbc: (3,); a direction that is not periodic counts as vacuum. None means periodic.
        min_gap: thickness of the empty slab, along its normal, angstrom.

    Raises:
        InputError: a cell without volume, or no atoms.
    """
    lattice = lattice_vectors(cell)
    sites = np.asarray(positions, dtype=float).reshape(-1, 3)
    if not len(sites):
        raise InputError("A structure without atoms has no periodicity.")
    periodic = (True, True, True) if pbc is None else pbc
    gaps = largest_gaps(lattice[None], sites[None])[0]
    x, y, z = (bool(gap >= min_gap or not p) for gap, p in zip(gaps, periodic, strict=True))
    return x, y, z


def largest_gaps(cells: NDArray[np.float64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thickness of the widest slab free of atoms along the normal of each lattice plane, angstrom.

    Args:
        cells: (m, 3, 3) of m structures, each with a volume.
        positions: (m, n, 3) Cartesian, angstrom, at least one atom.

    Returns:
        (m, 3).
    """
    fractional = np.sort(np.linalg.solve(cells.mT, positions.mT).mT % 1.0, axis=1)
    around = np.concatenate([fractional, fractional[:, :1] + 1.0], axis=1)
    largest = np.diff(around, axis=1).max(axis=1)
    # Lattice planes of direction i are 1/|b_i| apart, b_i the reciprocal vector without 2 pi.
    gaps: NDArray[np.float64] = largest / np.linalg.norm(np.linalg.inv(cells).mT, axis=2)
    return gaps


def strain_mask(vacuum_axes: Sequence[bool], cell: ArrayLike) -> list[int]:
    """Say which strains a relaxation may use; for the `mask` of ASE's FrechetCellFilter.

    Args:
        vacuum_axes: (3,) lattice directions with vacuum.
        cell: (3, 3) lattice vectors as rows, angstrom.

    Returns:
        6 of 0 or 1 in Voigt order xx, yy, zz, yz, xz, xy; [1, 1, 0, 0, 0, 1] for a layer
        in the xy plane.

    Raises:
        InputError: the periodic directions do not span Cartesian axes, so that no mask of
            Cartesian strains keeps the vacuum fixed.
    """
    periodic = lattice_vectors(cell)[[not vacuum for vacuum in vacuum_axes]]
    basis, _ = np.linalg.qr(periodic.T)
    # Squared length of each Cartesian axis' part in the span of the periodic directions.
    share = (basis**2).sum(axis=1)
    free = share > 0.5
    if np.abs(share - free).max() > AXIS_TOLERANCE**2:
        raise InputError(
            "The layer or chain does not lie along Cartesian axes, so its vacuum cannot be "
            "kept fixed by a strain mask.",
            hint="Rotate the structure: a layer into xy, yz or xz, a chain along x, y or z.",
            cell=np.asarray(cell).tolist(),
            vacuum_axes=[bool(flag) for flag in vacuum_axes],
        )
    return [int(free[i] and free[j]) for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]


def kpoint_mesh(
    cell: ArrayLike, k_spacing: float, vacuum_axes: Sequence[bool] = (False, False, False)
) -> tuple[int, int, int]:
    """Give the coarsest mesh whose points are at most `k_spacing` apart.

    Args:
        cell: (3, 3) lattice vectors as rows, angstrom.
        k_spacing: 1/angstrom, with the factor 2 pi.
        vacuum_axes: (3,) lattice directions that need one point only.

    Raises:
        InputError: a spacing that is not positive, a cell without volume.
    """
    if not k_spacing > 0:
        raise InputError(f"A k-point spacing of {k_spacing} per angstrom is not positive.")
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(lattice_vectors(cell)).T, axis=1)
    counts = np.maximum(np.ceil(lengths / k_spacing - ROUNDING), 1).astype(int)
    x, y, z = (1 if vacuum else int(n) for n, vacuum in zip(counts, vacuum_axes, strict=True))
    return x, y, z


def lattice_vectors(cell: ArrayLike) -> NDArray[np.float64]:
    """Give `cell` as a (3, 3) array; raises InputError unless it has a volume."""
    lattice = np.asarray(cell, dtype=float)
    if lattice.shape != (3, 3) or not np.isfinite(lattice).all():
        raise InputError("A cell needs three lattice vectors of three finite numbers.")
    edges = np.linalg.norm(lattice, axis=1)
    if abs(np.linalg.det(lattice)) <= 1e-6 * edges.prod():
        raise InputError(
            "The cell has no volume.",
            hint="Give every direction a lattice vector, also one across vacuum.",
            cell=lattice.tolist(),
        )
    return lattice
