"""Percentiles of numbers that come in parts, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXACT = 1 << 17
"""So many numbers are kept; more are counted."""
SHIFT = 13
"""Bits of a float32 that a count leaves out: what differs by less than 1/1024 falls together."""
BINS = 1 << (31 - SHIFT)


class Quantiles:
    """Non-negative numbers: exact to `EXACT` of them, beyond that within 0.05 % of themselves.

    More numbers are counted in bins as wide as the leading bits of their float32 tell apart, so
    that the error is relative, and the same whatever their range.
    """

    def __init__(self) -> None:
        self._kept: list[NDArray[np.float64]] = []
        self._n_kept = 0
        self._counts: NDArray[np.int64] | None = None

    def add(self, values: NDArray[np.float64]) -> None:
        """Take (n,) finite numbers."""
        if self._counts is not None:
            self._counts += _counted(values)
            return
        self._kept.append(values)
        self._n_kept += len(values)
        if self._n_kept > EXACT:
            self._count()

    def merge(self, other: Quantiles) -> None:
        """Take what another holds."""
        for values in other._kept:
            self.add(values)
        if other._counts is not None:
            counts = self._count()
            counts += other._counts

    def _count(self) -> NDArray[np.int64]:
        """Go over to counts, and give them."""
        if self._counts is None:
            self._counts = np.zeros(BINS, np.int64)
            for values in self._kept:
                self._counts += _counted(values)
            self._kept = []
        return self._counts

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Values that so many per cent of the numbers do not exceed; there must be numbers."""
        if self._counts is None:
            return [float(p) for p in np.percentile(np.concatenate(self._kept), percents)]
        upto = np.cumsum(self._counts)
        places = np.asarray(percents) / 100 * (upto[-1] - 1)
        return [float(v) for v in _middles(np.searchsorted(upto, places, side="right"))]


def _counted(values: NDArray[np.float64]) -> NDArray[np.int64]:
    bits = np.abs(values).astype(np.float32).view(np.uint32)
    return np.bincount(bits >> np.uint32(SHIFT), minlength=BINS)


def _middles(bins: NDArray[np.int64]) -> NDArray[np.float32]:
    half = np.where(bins > 0, 1 << (SHIFT - 1), 0)
    return ((bins << SHIFT) + half).astype(np.uint32).view(np.float32)
