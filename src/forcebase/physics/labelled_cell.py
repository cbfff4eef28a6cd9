"""A cell with the labels that are compared with one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelledCell:
    """A cell with its labels, as given, to be judged.

    Attributes:
        numbers: (n,) atomic numbers.
        cell: (3, 3) rows, angstrom.
        positions: (n, 3) angstrom.
        energy: eV; of two kinds the one that the forces derive from.
        forces: (n, 3) eV/angstrom.
        stress: (6,) eV/angstrom^3, ASE Voigt order; None where there is none.
    """

    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64] | None
