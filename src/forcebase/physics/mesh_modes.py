"""Normal modes at q-points, as fast as LAPACK gives them.

Frequencies alone cost a third of frequencies with eigenvectors, and a real matrix a third of a
complex one. At a q-point that is its own negative up to a reciprocal lattice vector the dynamical
matrix is real once the atoms' own phases are taken out of it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.lapack import eigh

ROOT_TO_THZ = 15.633302300230191
"""THz of a mode whose eigenvalue is 1 eV/angstrom^2/amu; CODATA 2018."""

WORKERS = os.cpu_count() or 1
"""Matrices that are diagonalised at the same time, each on one core."""

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

    Args:
        crystal: the crystal.
        mesh: (3,) q-points along the reciprocal primitive vectors.
        symmetry: use the space group; time reversal is used always.

    Returns:
        (n, 3) fractional q-points, and their (n,) weights of sum 1.
    """
    from spglib import get_stabilized_reciprocal_mesh

    operations = crystal.phonopy.primitive_symmetry.symmetry_operations
    rotations = operations["rotations"] if symmetry else np.eye(3, dtype=np.int64)[None]
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
    with_vectors: bool = True,
    workers: int = WORKERS,
) -> Iterator[PointModes]:
    """Diagonalise the dynamical matrix at one q-point after the other, in their order.

    At most `workers` + 1 matrices are in memory.

    Args:
        crystal: the crystal.
        q_points: (n, 3) fractional.
        with_vectors: give eigenvectors too.
        workers: threads, each with one matrix at a time.
    """
    points = np.asarray(q_points, dtype=float).reshape(-1, 3)
    waiting: deque[Future[PointModes]] = deque()
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        for q_point in points:
            matrix = _dynamical_matrix(crystal, q_point)
            waiting.append(pool.submit(_diagonalise, crystal, q_point, matrix, with_vectors))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _dynamical_matrix(crystal: HarmonicCrystal, q_point: NDArray[np.float64]) -> NDArray:
    phonopy_matrix = crystal.phonopy.dynamical_matrix
    phonopy_matrix.run(q_point)
    return phonopy_matrix.dynamical_matrix


def _diagonalise(
    crystal: HarmonicCrystal, q_point: NDArray[np.float64], matrix: NDArray, with_vectors: bool
) -> PointModes:
    phases = None
    if np.abs(2 * q_point - np.round(2 * q_point)).max() < IS_INTEGER:
        phases = _phases(crystal, q_point)
        matrix = (phases.conj()[:, None] * matrix * phases).real
    values, vectors = eigh(matrix, with_vectors=with_vectors)
    if vectors is None:
        return PointModes(q_point, _frequencies(values), np.empty((len(values) // 3, 3, 0)))
    if phases is not None and np.any(q_point):
        vectors = phases[:, None] * vectors
    return PointModes(q_point, _frequencies(values), vectors.reshape(-1, 3, len(values)))


def _phases(crystal: HarmonicCrystal, q_point: NDArray[np.float64]) -> NDArray[np.complex128]:
    """(3 n_atoms,) wave at the atoms' own places, which phonopy's matrix carries."""
    fractional = np.linalg.solve(crystal.primitive_cell.T, crystal.primitive_atoms.positions.T).T
    return np.repeat(np.exp(-2j * np.pi * fractional @ q_point), 3)


def _frequencies(eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(eigenvalues) * np.sqrt(np.abs(eigenvalues)) * ROOT_TO_THZ
