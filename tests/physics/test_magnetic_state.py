"""Magnetic states are classes: what is continuous in them does not tell them apart."""

from __future__ import annotations

import numpy as np
import pytest

from forcebase.physics.magnetic_state import (
    NOT_POLARISED,
    alike,
    described,
    left_order,
    magnetic_state,
)


@pytest.mark.parametrize(
    ("moments", "order", "pattern"),
    [
        ([2.2, 2.1], "ferromagnetic", "++"),
        ([-2.2, -2.1], "ferromagnetic", "++"),
        ([2.2, -2.2], "antiferromagnetic", "+-"),
        ([4.0, -2.0, 0.05], "ferrimagnetic", "+-0"),
        ([0.01, -0.02], "none", "00"),
        ([[2.0, 0, 0], [0, 2.0, 0]], "noncollinear", "+x"),
        ([[2.0, 0, 0], [-2.0, 0, 0.1]], "antiferromagnetic", "+-"),
    ],
)
def test_orders_and_patterns(moments, order, pattern):
    found = magnetic_state(moments)
    assert (found["order"], found["pattern"]) == (order, pattern)


def test_a_flip_of_all_signs_and_small_changes_are_one_state():
    one, other = described(None, [2.2, -2.1]), described(None, [-2.25, 2.12])
    assert alike(one, other)
    assert not alike(one, described(None, [2.2, 2.1]))
    assert not alike(described(None, [2.0, 2.0]), described(None, [2.0, 2.3])), "0.3 of two"
    assert alike(described(None, [2.0, 2.0]), described(None, [2.0, 2.19]))


def test_a_moment_near_the_threshold_does_not_tell_states_apart():
    one, other = described(None, [2.0, 2.0, 0.24]), described(None, [2.0, 2.0, 0.26])
    assert one["pattern"] != other["pattern"]
    assert alike(one, other)


def test_what_was_not_recorded_is_like_nothing():
    assert not alike({}, {})
    assert alike(NOT_POLARISED, NOT_POLARISED)
    assert not alike(NOT_POLARISED, {})


def test_a_run_that_left_its_order_is_said():
    assert left_order(described([1.0, -1.0], [0.9, -0.95])) is None
    assert "ended ferromagnetic" in left_order(described([1.0, -1.0], [0.9, 0.95]))
    assert left_order(described([1.0, -1.0], None)) is None
    assert left_order(described(None, np.array([1.0, 1.0]))) is None


def test_a_total_alone_tells_whether_moments_of_one_direction_are_left():
    begun = np.ones(100)
    assert described(begun, None, 0.003)["order"] == "none"
    one_centre = described(begun, None, 1.0)  # of a defect, among a hundred atoms begun alike
    assert (one_centre["order"], one_centre["total"]) == ("ferromagnetic", 1.0)
    assert described([1.0, -1.0], None, 0.0)["order"] == "antiferromagnetic"
    assert described(begun, None)["total"] == 100.0
