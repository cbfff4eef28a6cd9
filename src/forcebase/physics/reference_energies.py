"""Reference energies: one energy per element (E0), and what it leaves over.

A total energy is mostly a sum over atoms that carries no information on bonding; a model
learns what is left once that sum is taken off.

E0s belong to the one method that they were fitted on. The zero of a total energy is a choice
of the code (all electrons at infinity, valence electrons only, a code's own reference atoms)
and of each pseudopotential, so two methods differ by tens to thousands of eV per atom, and
not by the same number for each element. Taken to another method, E0s leave a large error that
depends on composition only, which a model then mistakes for physics.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.errors import InputError


def count_elements(
    numbers: NDArray[np.int64], owners: NDArray[np.int64], n_structures: int
) -> tuple[list[str], NDArray[np.float64]]:
    """Count the atoms of each element in each structure.

    Args:
        numbers: (N,) atomic numbers.
        owners: (N,) index of the structure that each atom belongs to.
        n_structures: n, the number of structures.

    Returns:
        The k elements by atomic number, and (n, k) counts in that order.
    """
    elements, columns = np.unique(numbers, return_inverse=True)
    k = len(elements)
    counts = np.bincount(owners * k + columns, minlength=n_structures * k)
    return [chemical_symbols[z] for z in elements], counts.reshape(n_structures, k).astype(float)


def fit_e0s(
    numbers: NDArray[np.int64], owners: NDArray[np.int64], energies: NDArray[np.float64]
) -> dict[str, float]:
    """Fit one energy per element to total energies by least squares over element counts.

    Where compositions do not tell the elements apart (all cells WSe2, say) the sum is fixed
    but not its parts, and the solution of smallest norm is given.

    Args:
        numbers: (N,) atomic numbers.
        owners: (N,) index of the structure that each atom belongs to.
        energies: (n,) total energies, eV, all of one method.

    Returns:
        Element symbol -> eV.

    Raises:
        InputError: there is no energy, or one of them is not finite.
    """
    if len(energies) == 0 or not np.isfinite(energies).all():
        raise InputError(
            "Reference energies need at least one total energy, and all of them finite.",
            hint="Drop the structures without an energy first (step labels-present).",
            n=len(energies),
            not_finite=int((~np.isfinite(energies)).sum()),
        )
    symbols, counts = count_elements(numbers, owners, len(energies))
    e0s = np.linalg.lstsq(counts, energies, rcond=None)[0]
    return {symbol: float(e0) for symbol, e0 in zip(symbols, e0s, strict=True)}


def residual_energies(
    numbers: NDArray[np.int64],
    owners: NDArray[np.int64],
    energies: NDArray[np.float64],
    e0s: Mapping[str, float],
) -> NDArray[np.float64]:
    """Take the sum of the atoms' E0s off each total energy.

    Args:
        numbers: (N,) atomic numbers.
        owners: (N,) index of the structure that each atom belongs to.
        energies: (n,) total energies, eV.
        e0s: element symbol -> eV, of the method of `energies`.

    Returns:
        (n,) eV per structure.

    Raises:
        InputError: an element has no E0.
    """
    symbols, counts = count_elements(numbers, owners, len(energies))
    missing = [symbol for symbol in symbols if symbol not in e0s]
    if missing:
        raise InputError(
            f"No reference energy (E0) for {', '.join(missing)}.",
            hint="Give one for each element, of the same DFT method, or have them fitted.",
            missing=missing,
        )
    return energies - counts @ np.array([e0s[symbol] for symbol in symbols])
