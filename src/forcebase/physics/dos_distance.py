"""How far the states of one crystal are from those of another, without any smearing.

The earth mover's (Wasserstein) distance of the modes themselves, in THz: how far states have to be
moved on average to turn one spectrum into the other. That of smeared spectra is smaller wherever
smearing hides a shift to and fro.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import irreducible_mesh, solve

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DosDistance:
    """Earth mover's distances, THz per state.

    Attributes:
        total: of all states.
        elements: element symbol -> of the states, each weighted by the element's share of it.
    """

    total: float
    elements: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Metrics for a record, units in the names."""
        return {"total_THz": self.total, "elements_THz": dict(self.elements)}


@dataclass(frozen=True, eq=False)
class _States:
    """`frequencies` (n,) THz, `weights` (n,), and the `shares` (n,) of each element in them."""

    frequencies: Array
    weights: Array
    shares: dict[str, Array]


def dos_distance(
    crystal: HarmonicCrystal, reference: HarmonicCrystal, mesh: Sequence[int]
) -> DosDistance:
    """Compare the states of a Gamma-centred mesh (3,) of `crystal` with those of `reference`.

    Raises:
        InputError: unlike elements.
    """
    ours, theirs = _states(crystal, mesh), _states(reference, mesh)
    if set(ours.shares) != set(theirs.shares):
        raise InputError(
            f"States of {', '.join(sorted(ours.shares))} cannot be compared with states of "
            f"{', '.join(sorted(theirs.shares))}."
        )
    return DosDistance(
        total=_distance(ours, theirs, ours.weights, theirs.weights),
        elements={
            symbol: _distance(
                ours, theirs, ours.weights * share, theirs.weights * theirs.shares[symbol]
            )
            for symbol, share in ours.shares.items()
        },
    )


def _states(crystal: HarmonicCrystal, mesh: Sequence[int]) -> _States:
    symbols = np.array(crystal.primitive_symbols)
    points, weights = irreducible_mesh(crystal, mesh)
    solved = list(solve(crystal, points))
    shares = [(np.abs(point.eigenvectors) ** 2).sum(axis=1) for point in solved]  # (n, n_modes)
    return _States(
        frequencies=np.concatenate([point.frequencies for point in solved]),
        weights=np.repeat(weights, 3 * len(symbols)),
        shares={
            str(symbol): np.concatenate([share[symbols == symbol].sum(axis=0) for share in shares])
            for symbol in dict.fromkeys(symbols)
        },
    )


def _distance(ours: _States, theirs: _States, mine: Array, yours: Array) -> float:
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(ours.frequencies, theirs.frequencies, mine, yours))
