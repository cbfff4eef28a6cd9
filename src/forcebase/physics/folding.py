"""Folding: the vibrations of a unit cell at the q-points of a supercell.

A perfect supercell has the modes of its unit cell at all the q-points that differ by a
reciprocal lattice vector of the supercell: no need to diagonalise the large matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import solve


def unfolded_points(supercell_matrix: ArrayLike, q_point: ArrayLike) -> NDArray[np.float64]:
    """Give the unit cell's q-points, (n_cells, 3), that fold onto one of the supercell.

    Args:
        supercell_matrix: (3, 3) integers; supercell lattice = matrix.T @ unit cell lattice.
        q_point: (3,) fractional, of the supercell's reciprocal lattice.
    """
    matrix = np.asarray(supercell_matrix, dtype=float)
    n_cells = round(abs(np.linalg.det(matrix)))
    inverse = np.linalg.inv(matrix)
    steps = [np.arange(n) for n in _periods(inverse)]
    vectors = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ inverse
    wrapped = np.round(vectors % 1.0, 9) % 1.0
    _, first = np.unique(wrapped, axis=0, return_index=True)
    if len(first) != n_cells:
        raise InputError(f"{np.asarray(supercell_matrix).tolist()} is not a supercell matrix.")
    return np.asarray(q_point, dtype=float) @ inverse + vectors[np.sort(first)]


def folded_frequencies(
    crystal: HarmonicCrystal, supercell_matrix: ArrayLike, q_points: ArrayLike
) -> NDArray[np.float64]:
    """(n_q, n_cells * 3 n_primitive) THz, rising: the bands of the supercell at its `q_points`.

    Raises:
        InputError: the crystal's unit cell is not primitive.
    """
    if not np.allclose(crystal.primitive_matrix, np.eye(3)):
        raise InputError(
            "Only a crystal whose unit cell is its primitive cell can be folded.",
            hint="Compute its phonon from the primitive cell.",
        )
    folded = []
    for q_point in np.asarray(q_points, dtype=float).reshape(-1, 3):
        points = unfolded_points(supercell_matrix, q_point)
        found = [m.frequencies for m in solve(crystal, points, with_vectors=False)]
        folded.append(np.sort(np.concatenate(found)))
    return np.array(folded)


def folded_mesh(supercell_matrix: ArrayLike, mesh: Sequence[int]) -> tuple[int, int, int]:
    """Give the unit cell's mesh whose points fold onto the supercell's Gamma-centred `mesh`.

    Raises:
        InputError: the supercell does not repeat the cell along its own lattice vectors.
    """
    matrix = np.asarray(supercell_matrix, dtype=np.int64)
    if np.any(matrix != np.diag(np.diag(matrix))):
        raise InputError(
            f"The supercell {matrix.tolist()} is not a plain repetition of the unit cell.",
            hint="Give three numbers, as 6x6x1.",
        )
    x, y, z = (int(n * m) for n, m in zip(np.diag(matrix), mesh, strict=True))
    return x, y, z


def _periods(inverse: NDArray[np.float64]) -> list[int]:
    """For each direction, after how many reciprocal steps of the supercell one is back."""
    determinant = round(1 / abs(np.linalg.det(inverse)))
    rows = np.round(inverse * determinant).astype(np.int64)
    return [determinant // int(np.gcd.reduce([determinant, *row])) for row in rows]
