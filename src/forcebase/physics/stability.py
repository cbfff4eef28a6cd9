"""Stability of a harmonic crystal: whether any mode is imaginary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import irreducible_mesh, solve
from forcebase.physics.vibrations import IMAGINARY


def commensurate_frequencies(crystal: HarmonicCrystal) -> NDArray[np.float64]:
    """(n_q, n_modes) THz at the waves that fit into the supercell: where nothing is interpolated.

    For a supercell that is no plain repetition of the primitive cell, at Gamma alone.
    """
    matrix = np.linalg.inv(crystal.primitive_matrix) @ crystal.supercell_matrix
    repeats = np.diag(matrix).round().astype(int)
    plain = np.allclose(matrix, np.diag(repeats), atol=1e-6)
    points, _ = irreducible_mesh(crystal, [int(n) for n in repeats] if plain else [1, 1, 1])
    return np.array([modes.frequencies for modes in solve(crystal, points, with_vectors=False)])


def instability(crystal: HarmonicCrystal) -> str | None:
    """Say how many modes are imaginary, and the worst of them; None where all are real."""
    frequencies = commensurate_frequencies(crystal)
    imaginary = frequencies[frequencies < IMAGINARY]
    if not len(imaginary):
        return None
    return (
        f"{len(imaginary)} imaginary modes at the q-points that fit into the supercell, "
        f"the worst {-imaginary.min():.3f}i THz"
    )
