"""Comparison of two harmonic crystals: bands and densities of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.vibrations import Bands, DensityOfStates
from forcebase.units import THZ_TO_CM1


@dataclass(frozen=True)
class BandErrors:
    """How far apart the bands of two crystals are, over all q-points and bands.

    Bands are compared in the order of their frequencies at each q-point, not by
    their eigenvectors: where two bands of unlike character cross, the error is that of the
    spectrum.

    Attributes:
        mae: mean absolute error, THz.
        rmse: root mean square error, THz.
        max: largest absolute error, THz.
        bias: mean of first minus second, THz.
    """

    mae: float
    rmse: float
    max: float
    bias: float

    @property
    def mae_cm1(self) -> float:
        """Mean absolute error, 1/cm."""
        return self.mae * THZ_TO_CM1

    @property
    def rmse_cm1(self) -> float:
        """Root mean square error, 1/cm."""
        return self.rmse * THZ_TO_CM1

    @property
    def max_cm1(self) -> float:
        """Largest absolute error, 1/cm."""
        return self.max * THZ_TO_CM1

    def as_dict(self) -> dict[str, float]:
        """Metrics for a record, units in the names."""
        return {
            "band_mae_THz": self.mae,
            "band_rmse_THz": self.rmse,
            "band_max_THz": self.max,
            "band_bias_THz": self.bias,
            "band_mae_cm1": self.mae_cm1,
            "band_rmse_cm1": self.rmse_cm1,
            "band_max_cm1": self.max_cm1,
        }


@dataclass(frozen=True, eq=False)
class SpectrumErrors:
    """How far apart two densities of states are.

    Attributes:
        difference: (n,) first minus second, states per THz.
        misplaced: integral of |difference| over the number of states; 0 for equal
            spectra, 2 for spectra without overlap. It depends on the smearing.
        wasserstein: earth mover's distance per state, THz: how far states have to be moved
            on average to turn one spectrum into the other.
    """

    difference: NDArray[np.float64]
    misplaced: float
    wasserstein: float


@dataclass(frozen=True, eq=False)
class DosErrors:
    """Differences of total and element-projected densities of states.

    Attributes:
        frequencies: (n,) THz.
        total: of the total DOS.
        elements: element symbol -> of its projected DOS.
    """

    frequencies: NDArray[np.float64]
    total: SpectrumErrors
    elements: dict[str, SpectrumErrors]

    def as_dict(self) -> dict[str, Any]:
        """Metrics for a record, units in the names; without the arrays."""
        return {
            "dos_misplaced": self.total.misplaced,
            "dos_wasserstein_THz": self.total.wasserstein,
            "pdos": {
                symbol: {"misplaced": errors.misplaced, "wasserstein_THz": errors.wasserstein}
                for symbol, errors in self.elements.items()
            },
        }


def compare_bands(a: Bands, b: Bands) -> BandErrors:
    """Compare bands `a` with bands `b`.

    Raises:
        InputError: unlike q-points, or another number of bands.
    """
    if a.frequencies.shape[1] != b.frequencies.shape[1]:
        raise InputError(
            f"{a.frequencies.shape[1]} bands cannot be compared with {b.frequencies.shape[1]}.",
            hint="Compare crystals with the same primitive cell.",
        )
    same_number = len(a.path.q_points) == len(b.path.q_points)
    if not same_number or not np.allclose(a.path.q_points, b.path.q_points, rtol=0, atol=1e-8):
        raise InputError(
            "The two bands were computed on unlike q-points.",
            hint="Compute both with one `BandPath`: `bands(a, path)`, `bands(b, path)`.",
        )
    errors = np.sort(a.frequencies, axis=1) - np.sort(b.frequencies, axis=1)
    return BandErrors(
        mae=float(np.abs(errors).mean()),
        rmse=float(np.sqrt((errors**2).mean())),
        max=float(np.abs(errors).max()),
        bias=float(errors.mean()),
    )


def compare_dos(a: DensityOfStates, b: DensityOfStates) -> DosErrors:
    """Compare DOS `a` with DOS `b`, in total and by element.

    Raises:
        InputError: unlike frequency grids or elements.
    """
    if not np.array_equal(a.frequencies, b.frequencies):
        raise InputError(
            "The two densities of states are on unlike frequency grids.",
            hint="Make one with `frequency_grid` and give it to both.",
        )
    if set(a.projected) != set(b.projected):
        raise InputError(
            f"A DOS of {', '.join(sorted(a.projected))} cannot be compared with one of "
            f"{', '.join(sorted(b.projected))}."
        )
    return DosErrors(
        a.frequencies,
        spectrum_errors(a.frequencies, a.total, b.total),
        {
            symbol: spectrum_errors(a.frequencies, a.projected[symbol], b.projected[symbol])
            for symbol in a.projected
        },
    )


def spectrum_errors(
    grid: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> SpectrumErrors:
    """Compare spectrum `a` with spectrum `b`, both (n,) states per THz on `grid` (n,), THz."""
    difference = a - b
    n_states = float(np.trapezoid(b, grid))
    steps = np.diff(grid)
    cumulative = np.concatenate([[0.0], np.cumsum(steps * (difference[1:] + difference[:-1]) / 2)])
    return SpectrumErrors(
        difference=difference,
        misplaced=float(np.trapezoid(np.abs(difference), grid)) / n_states,
        wasserstein=float(np.trapezoid(np.abs(cumulative), grid)) / n_states,
    )
