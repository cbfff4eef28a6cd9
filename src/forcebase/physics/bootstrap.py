"""How sure a mean error is: intervals from resampling whole families of structures.

Structures of one family are near copies, so their errors are not independent; families are drawn
with replacement and stay whole (the cluster bootstrap: Davison and Hinkley, Bootstrap Methods and
their Application, 1997, section 3.8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_SAMPLES = 1000
MOST_GROUPS = 2000
"""More are put together into so many blocks, which are resampled as wholes."""
FEWEST_GROUPS = 5
"""With fewer, the interval says more of the resampling than of the errors."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: lower end, in the unit of the errors.
        high: upper end.
        confidence: as 0.95.
        n_groups: independent groups, or blocks of them, that were resampled.
    """

    low: float
    high: float
    confidence: float
    n_groups: int


@dataclass(frozen=True)
class ErrorIntervals:
    """Of the mean absolute error and of the root mean square error."""

    mae: Interval
    rmse: Interval


def error_intervals(
    errors: NDArray[np.float64],
    groups: NDArray[np.str_],
    *,
    confidence: float = 0.95,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
) -> ErrorIntervals | None:
    """Percentile intervals of MAE and RMSE.

    Args:
        errors: (n,) errors; NaN are left out.
        groups: (n,) group of each: a family, or whatever is drawn as a whole.
        confidence: share of the resampled values that lie inside.
        n_samples: number of resamplings.
        seed: of the resampling; the same gives the same.

    Returns:
        None where there are fewer than `FEWEST_GROUPS` groups.
    """
    known = np.isfinite(errors)
    _, codes = np.unique(groups[known], return_inverse=True)
    codes %= MOST_GROUPS
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < FEWEST_GROUPS:
        return None
    found = np.abs(errors[known])
    sums = np.stack(
        [np.bincount(codes, weights=weights) for weights in (np.ones_like(found), found, found**2)]
    )
    rng = np.random.default_rng(seed)
    # how often each group is drawn says all: sums over groups are linear in it
    drawn = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_samples)
    counts, absolute, squares = sums @ drawn.T
    tails = (50 * (1 - confidence), 50 * (1 + confidence))
    return ErrorIntervals(
        mae=Interval(*_ends(absolute / counts, tails), confidence, n_groups),
        rmse=Interval(*_ends(np.sqrt(squares / counts), tails), confidence, n_groups),
    )


def _ends(values: NDArray[np.float64], tails: tuple[float, float]) -> tuple[float, float]:
    low, high = np.percentile(values, tails)
    return float(low), float(high)
