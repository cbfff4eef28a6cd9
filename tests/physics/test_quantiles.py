"""Percentiles of numbers that come in parts."""

from __future__ import annotations

import numpy as np
import pytest

from forcebase.physics.quantiles import EXACT, Quantiles

PERCENTS = (0, 1, 50, 90, 99, 100)


def taken(values, n_parts):
    found = Quantiles()
    for part in np.array_split(values, n_parts):
        found.add(part)
    return found


@pytest.mark.parametrize("n", [1, 2, 1000, EXACT])
def test_few_are_exact(n):
    values = np.random.default_rng(n).exponential(size=n)
    assert taken(values, 3).percentiles(PERCENTS) == np.percentile(values, PERCENTS).tolist()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_many_are_within_their_bin(scale):
    values = scale * np.random.default_rng(0).lognormal(sigma=2, size=5 * EXACT)
    found = taken(values, 7).percentiles(PERCENTS)
    assert found == pytest.approx(np.percentile(values, PERCENTS), rel=6e-4)


def test_zeros_stay_zeros():
    assert taken(np.zeros(2 * EXACT), 4).percentiles(PERCENTS) == [0.0] * len(PERCENTS)


@pytest.mark.parametrize("sizes", [(10, 20), (10, 2 * EXACT), (2 * EXACT, 10), (2 * EXACT,) * 2])
def test_merged_is_taken_together(sizes):
    rng = np.random.default_rng(1)
    parts = [rng.exponential(size=size) for size in sizes]
    merged = [taken(part, 2) for part in parts]
    before = [part.percentiles(PERCENTS) for part in merged]
    whole = Quantiles()
    for part in merged:
        whole.merge(part)
    assert whole.percentiles(PERCENTS) == taken(np.concatenate(parts), 5).percentiles(PERCENTS)
    whole.add(parts[0])
    assert [part.percentiles(PERCENTS) for part in merged] == before
