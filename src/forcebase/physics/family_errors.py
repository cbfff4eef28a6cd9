"""Errors by family: of structures that are near copies of one another, which fail together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MILLI = 1000.0
MOST_FAMILIES = 20
"""That a comparison keeps, the worst ones."""


@dataclass(frozen=True)
class FamilyErrors:
    """Errors of the structures of one family.

    Attributes:
        family: its id; that of the structure where it has none.
        n_structures: of it that were compared.
        energy_mae: meV/atom; None where there is no energy.
        forces_rmse: meV/A; None where there are no forces.
    """

    family: str
    n_structures: int
    energy_mae: float | None
    forces_rmse: float | None


def worst_families(
    families: NDArray[np.str_],
    energies: NDArray[np.float64],
    forces: NDArray[np.float64],
    owners: NDArray[np.int64],
) -> tuple[list[FamilyErrors], int]:
    """Errors of the families with the largest RMSE of forces, and the number of families.

    Args:
        families: (n,) family of each structure.
        energies: (n,) errors, eV/atom; NaN where unknown.
        forces: (N, 3) errors, eV/angstrom; NaN where unknown.
        owners: (N,) index of the structure of each atom.
    """
    names, codes = np.unique(families, return_inverse=True)
    sizes = np.bincount(codes)
    maes = _means(codes, np.abs(energies), len(names))
    squares = _means(np.repeat(codes[owners], 3), np.square(forces).ravel(), len(names))
    rmses = np.sqrt(squares)
    order = np.argsort(-np.nan_to_num(rmses, nan=-1.0), kind="stable")
    worst = [
        FamilyErrors(str(names[i]), int(sizes[i]), _milli(maes[i]), _milli(rmses[i]))
        for i in order[:MOST_FAMILIES]
    ]
    return worst, len(names)


def _means(codes: NDArray[np.int64], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Mean of each of n groups over its known values; NaN where it has none."""
    known = np.isfinite(values)
    counts = np.bincount(codes[known], minlength=n)
    sums = np.bincount(codes[known], weights=values[known], minlength=n)
    return np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)


def _milli(value: float) -> float | None:
    return MILLI * float(value) if np.isfinite(value) else None
