"""How sure a mean error is: intervals from resampling whole families of structures.

Structures of one family are near copies, so their errors are not independent; families are drawn
with replacement and stay whole (the cluster bootstrap: Davison and Hinkley, Bootstrap Methods and
their Application, 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.error_tally import MILLI

N_SAMPLES = 1000
MOST_GROUPS = 2000
"""More are put together into so many blocks, which are resampled as wholes."""
FEWEST_GROUPS = 5
"""With fewer, the interval says more of the resampling than of the errors."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Attributes:
        low: lower end, meV-based.
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
    """Of the mean absolute error and of the root mean square error; the unit is meV-based."""

    mae: Interval
    rmse: Interval


@dataclass(frozen=True)
class RowSums:
    """Sums over the errors of each of n rows, as structures.

    Attributes:
        counts: (n,) errors that are known.
        absolute: (n,) sum of their absolute values.
        squares: (n,) sum of their squares.
    """

    counts: NDArray[np.float64]
    absolute: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(
        cls, errors: NDArray[np.float64], owners: NDArray[np.int64] | None = None, n: int = 0
    ) -> RowSums:
        """Sum errors over rows.

        Args:
            errors: (N,) or (N, m); NaN are left out.
            owners: (N,) index of the row that each belongs to; None where each is one.
            n: rows, where owners are given.
        """
        flat = errors.reshape(len(errors), -1)
        known = np.isfinite(flat)
        sizes = np.abs(np.where(known, flat, 0.0))
        sums = [known.sum(axis=1, dtype=float), sizes.sum(axis=1), np.square(sizes).sum(axis=1)]
        if owners is not None:
            sums = [np.bincount(owners, weights=column, minlength=n) for column in sums]
        return cls(*sums)

    @classmethod
    def joined(cls, parts: Sequence[RowSums]) -> RowSums:
        """One after another."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )

    def take(self, rows: NDArray[Any]) -> RowSums:
        """Those of some rows."""
        return RowSums(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def error_intervals(
    rows: RowSums,
    groups: NDArray[Any],
    *,
    confidence: float = 0.95,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
) -> ErrorIntervals | None:
    """Percentile intervals of MAE and RMSE, meV-based.

    Args:
        rows: sums over the errors of each of n rows, eV-based; a row without errors is left out.
        groups: (n,) group of each: a family, or whatever is drawn as a whole.
        confidence: share of the resampled values that lie inside.
        n_samples: number of resamplings.
        seed: of the resampling; the same gives the same.

    Returns:
        None where there are fewer than `FEWEST_GROUPS` groups.
    """
    known = rows.counts > 0
    _, codes = np.unique(groups[known], return_inverse=True)
    codes %= MOST_GROUPS
    n_groups = int(codes.max(initial=-1)) + 1
    if n_groups < FEWEST_GROUPS:
        return None
    columns = (rows.counts, rows.absolute, rows.squares)
    sums = np.stack([np.bincount(codes, weights=column[known]) for column in columns])
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
    low, high = np.percentile(MILLI * values, tails)
    return float(low), float(high)
