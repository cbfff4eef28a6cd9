"""Normal modes at q-points, as fast as libraries give them.

phonopy's own eigensolver takes several matrices at once, one on each core. At a q-point that is its
own negative up to a reciprocal lattice vector the dynamical matrix is real once the atoms' own
phases are taken out of it; LAPACK's real solver then needs a third of the time. Frequencies alone
need less than half of frequencies with eigenvectors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forcebase.physics.harmonic_crystal import HarmonicCrystal

ROOT_TO_THZ = 15.633302300230191
"""THz of a mode whose eigenvalue is 1 eV/angstrom^2/amu; CODATA 2018."""

BLOCKS_AT_ONCE = os.cpu_count() or 1
"""Cores to diagonalise on."""

IS_INTEGER = 1e-9


@dataclass(frozen=True, eq=False)
class PointModes:
    """Modes at one q-point.

    Attributes:
        q_point: (3,) fractional, of the reciprocal primitive lattice.
        frequencies: (n_modes,) THz, rising; imaginary ones negative.
        eigenvectors: (n_atoms, 3, n_modes) of the dynamical matrix, each of length 1, in
            phonopy's phase convention; real at Gamma; of no modes where not asked for.
    """

    q_point: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    eigenvectors: NDArray


def irreducible_mesh(
    crystal: HarmonicCrystal, mesh: Sequence[int], *, symmetry: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the q-points of a Gamma-centred mesh that symmetry does not make equal.

    The symmetry is that which the force constants hold to.

    Args:
        crystal: the crystal.
        mesh: (3,) q-points along the reciprocal primitive vectors.
        symmetry: use rotations; time reversal is used always.

    Returns:
        (n, 3) fractional q-points, and their (n,) weights of sum 1.
    """
    from spglib import get_stabilized_reciprocal_mesh

    rotations = crystal.symmetry.rotations if symmetry else np.eye(3, dtype=np.int64)[None]
    found: Any = get_stabilized_reciprocal_mesh(
        np.array(mesh), rotations, is_shift=[0, 0, 0], is_time_reversal=True
    )
    mapping, grid = found
    first, counts = np.unique(mapping, return_counts=True)
    return grid[first] / np.array(mesh), counts / counts.sum()


def solve(
    crystal: HarmonicCrystal,
    q_points: ArrayLike,
    *,
    directions: ArrayLike | None = None,
    with_vectors: bool = True,
    at_once: int = BLOCKS_AT_ONCE,
) -> Iterator[PointModes]:
    """Diagonalise the dynamical matrix at one q-point after the other, in their order.

    Args:
        crystal: the crystal.
        q_points: (n, 3) fractional.
        directions: (n, 3) fractional, along which Gamma is come to: the non-analytical term
            depends on it. Zeros, or None, leave the term out there, and it counts nowhere else.
        with_vectors: give eigenvectors too.
        at_once: cores; twice as many matrices are in memory.
    """
    points = np.asarray(q_points, dtype=float).reshape(-1, 3)
    ways = np.zeros_like(points) if directions is None else np.asarray(directions, dtype=float)
    for start in range(0, len(points), 2 * at_once):
        some = slice(start, start + 2 * at_once)
        yield from _solve_batch(crystal, points[some], ways[some], with_vectors)


def _solve_batch(
    crystal: HarmonicCrystal,
    points: NDArray[np.float64],
    ways: NDArray[np.float64],
    with_vectors: bool,
) -> list[PointModes]:
    from phonopy.harmonic.dynamical_matrix import diagonalize_dynamical_matrices

    own_negative = np.abs(2 * points - np.round(2 * points)).max(axis=1) < IS_INTEGER
    if crystal.applied_response is not None:  # its sum is cut off, so not quite periodic
        own_negative &= ~points.any(axis=1)
    matrices = [_dynamical_matrix(crystal, *pair) for pair in zip(points, ways, strict=True)]
    found: dict[int, PointModes] = {}
    with ThreadPoolExecutor(1) as beside:  # numpy's solver runs outside Python's lock
        waiting = {
            int(i): beside.submit(_solve_real, crystal, points[i], matrices[i], with_vectors)
            for i in np.flatnonzero(own_negative)
        }
        others = np.flatnonzero(~own_negative)
        if len(others):
            values, vectors = diagonalize_dynamical_matrices(
                np.array([matrices[i] for i in others]), with_eigenvectors=with_vectors
            )
            for k, i in enumerate(others):
                some = vectors[k] if vectors is not None else None
                found[int(i)] = _point(points[i], values[k], some)
        found |= {i: solved.result() for i, solved in waiting.items()}
    return [found[i] for i in range(len(points))]


def _solve_real(
    crystal: HarmonicCrystal, q_point: NDArray[np.float64], matrix: NDArray, with_vectors: bool
) -> PointModes:
    phases = _phases(crystal, q_point)
    real = (phases.conj()[:, None] * matrix * phases).real
    if not with_vectors:
        return _point(q_point, np.linalg.eigvalsh(real), None)
    values, vectors = np.linalg.eigh(real)
    return _point(q_point, values, phases[:, None] * vectors if np.any(q_point) else vectors)


def _point(
    q_point: NDArray[np.float64], values: NDArray[np.float64], vectors: NDArray | None
) -> PointModes:
    frequencies = np.sign(values) * np.sqrt(np.abs(values)) * ROOT_TO_THZ
    if vectors is None:
        vectors = np.empty((len(values), 0))
    return PointModes(q_point, frequencies, vectors.reshape(len(values) // 3, 3, -1))


def _dynamical_matrix(
    crystal: HarmonicCrystal, q_point: NDArray[np.float64], way: NDArray[np.float64]
) -> NDArray:
    phonopy_matrix = crystal.phonopy.dynamical_matrix
    if crystal.applied_response is not None and way.any() and not q_point.any():
        phonopy_matrix.run(q_point, q_direction=way)
    else:
        phonopy_matrix.run(q_point)
    return phonopy_matrix.dynamical_matrix


def _phases(crystal: HarmonicCrystal, q_point: NDArray[np.float64]) -> NDArray[np.complex128]:
    """(3 n_atoms,) wave at the atoms' own places, which phonopy's matrix carries."""
    fractional = np.linalg.solve(crystal.primitive_cell.T, crystal.primitive_atoms.positions.T).T
    return np.repeat(np.exp(-2j * np.pi * fractional @ q_point), 3)
