"""Errors by family: of structures that are near copies of one another, which fail together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.bootstrap import RowSums
from forcebase.physics.error_tally import MILLI

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
    names: NDArray[Any], codes: NDArray[np.int64], energies: RowSums, forces: RowSums
) -> list[FamilyErrors]:
    """Errors of the families with the largest RMSE of forces, worst first.

    Args:
        names: (m,) families.
        codes: (n,) index of the family of each structure.
        energies: sums over the error of the energy per atom of each structure, eV.
        forces: sums over the errors of the components of forces of each structure, eV/angstrom.
    """
    sizes = np.bincount(codes)
    maes = _means(codes, energies.absolute, energies.counts)
    rmses = np.sqrt(_means(codes, forces.squares, forces.counts))
    order = np.argsort(-np.nan_to_num(rmses, nan=-1.0), kind="stable")
    return [
        FamilyErrors(_text(names[i]), int(sizes[i]), _milli(maes[i]), _milli(rmses[i]))
        for i in order[:MOST_FAMILIES]
    ]


def _means(
    codes: NDArray[np.int64], sums: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean of each group; NaN where nothing of it is known."""
    total = np.bincount(codes, weights=sums)
    n = np.bincount(codes, weights=counts)
    return np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _milli(value: float) -> float | None:
    return MILLI * float(value) if np.isfinite(value) else None
