"""Units at the door: everything inside is eV, angstrom, THz, K and amu.

Stress is eV/angstrom^3 in ASE's Voigt order (xx, yy, zz, yz, xz, xy), tension
positive: a compressed cell has a negative diagonal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.units import GPa
from numpy.typing import NDArray

THZ_TO_CM1 = 33.35640951981521  # 1e12 / (100 c), CODATA 2018 exact c
THZ_TO_MEV = 4.135667696923859  # h in meV/THz, CODATA 2018 exact h
EV_A3_TO_GPA = 1 / GPa
KBAR_TO_EV_PER_A3 = 0.1 * GPa  # ASE's own, so that atomate2's factor is undone exactly


def stress_from_kbar_pressure(stress: Any) -> NDArray[np.float64]:
    """Turn a VASP-signed stress in kbar into the house convention.

    Args:
        stress: (3, 3) matrix, or 6 numbers in ASE's Voigt order, kbar, compression
            positive, as in `output.stress` of atomate2 documents.

    Returns:
        (6,) array, eV/angstrom^3, ASE Voigt order, tension positive.
    """
    array = np.asarray(stress, dtype=float)
    return -voigt(array) * KBAR_TO_EV_PER_A3


def voigt(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give a (3, 3) or (6,) stress as (6,) in ASE's Voigt order; units unchanged."""
    if stress.shape == (6,):
        return stress
    symmetric = (stress + stress.T) / 2
    return np.array([symmetric[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))])
