"""Confidence intervals of errors."""

from __future__ import annotations

import numpy as np
import pytest

from forcebase.physics.bootstrap import RowSums, error_intervals


def names(codes):
    return np.array([f"f{code}" for code in codes])


def test_the_interval_holds_the_mean_as_often_as_it_says():
    """200 sets of 40 independent errors: the true MAE of a normal distribution is sqrt(2/pi)."""
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        errors = rng.normal(size=40)
        mae = error_intervals(RowSums.of(errors), names(range(40)), confidence=0.9, seed=seed).mae
        held += mae.low <= 1000 * np.sqrt(2 / np.pi) <= mae.high
    assert 0.82 <= held / 200 <= 0.95


def test_copies_in_one_family_add_no_certainty():
    errors = np.random.default_rng(2).normal(size=30)
    alone = error_intervals(RowSums.of(errors), names(range(30)))
    copied = error_intervals(RowSums.of(np.repeat(errors, 50)), names(np.repeat(np.arange(30), 50)))
    assert copied.mae.high - copied.mae.low == pytest.approx(alone.mae.high - alone.mae.low)
    assert copied.rmse.n_groups == 30


def test_the_same_seed_gives_the_same():
    errors = np.random.default_rng(3).normal(size=20)
    one, other = (error_intervals(RowSums.of(errors), names(range(20))) for _ in range(2))
    assert one == other


def test_too_few_families_have_no_interval():
    assert error_intervals(RowSums.of(np.ones(100)), names(np.arange(100) % 4)) is None
    assert error_intervals(RowSums.of(np.full(9, np.nan)), names(range(9))) is None


def test_unknown_errors_are_left_out():
    errors = np.array([1.0, np.nan, 1.0, 1.0, 1.0, 1.0, np.nan])
    found = error_intervals(RowSums.of(errors), names(range(7)))
    assert found.mae.n_groups == 5
    assert found.mae.low == found.rmse.high == pytest.approx(1000)
