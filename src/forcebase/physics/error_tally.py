"""Errors of one quantity, added up a part at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.quantiles import Quantiles

MILLI = 1000.0


@dataclass(frozen=True)
class ErrorSummary:
    """How far predictions are from references.

    Attributes:
        unit: of `mae`, `rmse`, `max` and the percentiles.
        n: numbers compared: structures for energies, components for forces and stress.
        mae: mean absolute error.
        rmse: root of the mean squared error.
        max: largest absolute error.
        r2: 1 - residual over total sum of squares; None where the references do not vary.
        p50: half of the absolute errors are no larger; so p90, p95, p99. Within 0.05 % where
            there are more than 131,072.
    """

    unit: str
    n: int
    mae: float
    rmse: float
    max: float
    r2: float | None
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass
class ErrorTally:
    """Sums over errors, from which their summary follows; memory does not grow with them.

    Attributes:
        n: numbers compared.
        absolute: sum of absolute errors.
        squares: sum of squared errors.
        largest: absolute error.
        mean: of the references.
        spread: sum of the squares of the references' distances from their mean.
        largest_reference: its absolute value.
        sizes: absolute errors.
    """

    n: int = 0
    absolute: float = 0.0
    squares: float = 0.0
    largest: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    largest_reference: float = 0.0
    sizes: Quantiles = field(default_factory=Quantiles)

    @classmethod
    def of(cls, prediction: NDArray[np.float64], reference: NDArray[np.float64]) -> ErrorTally:
        """Of two arrays of one shape; pairs of which either number is NaN are left out."""
        known = np.isfinite(prediction) & np.isfinite(reference)
        found = cls()
        if not known.any():
            return found
        target = reference[known]
        error = prediction[known] - target
        size = np.abs(error)
        found.n = len(target)
        found.absolute, found.squares = float(size.sum()), float(error @ error)
        found.largest = float(size.max())
        found.mean = float(target.mean())
        away = target - found.mean
        found.spread, found.largest_reference = float(away @ away), float(np.abs(target).max())
        found.sizes.add(size)
        return found

    @classmethod
    def merged(cls, parts: Iterable[ErrorTally]) -> ErrorTally:
        """Of all parts together."""
        found = cls()
        for part in parts:
            found.add(part)
        return found

    def add(self, part: ErrorTally) -> None:
        """Take another part.

        The spreads are joined as by Chan, Golub and LeVeque, The American Statistician 37, 242
        (1983), equation 2.1.
        """
        if not part.n:
            return
        total = self.n + part.n
        apart = part.mean - self.mean
        self.spread += part.spread + apart * apart * self.n * part.n / total
        self.mean += apart * part.n / total
        self.n = total
        self.absolute += part.absolute
        self.squares += part.squares
        self.largest = max(self.largest, part.largest)
        self.largest_reference = max(self.largest_reference, part.largest_reference)
        self.sizes.merge(part.sizes)

    def summary(self, unit: str) -> ErrorSummary | None:
        """Summarise numbers in eV-based units as errors in `unit`, which is meV-based.

        None where nothing was compared.
        """
        if not self.n:
            return None
        largest = MILLI * self.largest
        percentiles = self.sizes.percentiles((50, 90, 95, 99))
        p50, p90, p95, p99 = (min(MILLI * p, largest) for p in percentiles)
        # Rounding alone leaves a spread of about eps; a constant reference has no R2.
        varies = self.spread > (np.finfo(float).eps * self.largest_reference) ** 2 * self.n
        return ErrorSummary(
            unit=unit,
            n=self.n,
            mae=MILLI * self.absolute / self.n,
            rmse=MILLI * (self.squares / self.n) ** 0.5,
            max=largest,
            r2=1 - self.squares / self.spread if varies else None,
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
        )
