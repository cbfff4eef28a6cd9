"""Modes paired by what they do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import unitary_group

from forcebase.errors import InputError
from forcebase.physics.mode_matching import match_modes


def modes(frequencies, vectors):
    order = np.argsort(frequencies, kind="stable")
    return np.sort(frequencies)[None], vectors[:, order][None]


def test_equal_modes_have_no_errors():
    vectors = unitary_group.rvs(6, random_state=1)
    a = modes(np.arange(6.0), vectors)
    phases = np.exp(1j * np.linspace(0, 3, 6))
    matched = match_modes((a[0], a[0]), (a[1], a[1] * phases))
    assert np.abs(matched.errors).max() == 0
    assert matched.overlaps == pytest.approx(1)
    assert matched.reordered == 0


def test_a_crossing_does_not_hide_errors():
    """Two modes change places: by order the error is 0.1 THz, by motion 1 and 0.9."""
    vectors = unitary_group.rvs(3, random_state=2)
    first = modes(np.array([1.0, 2.0, 5.0]), vectors)
    second = modes(np.array([2.0, 1.1, 5.0]), vectors)
    matched = match_modes((first[0], second[0]), (first[1], second[1]))
    assert np.abs(first[0] - second[0]).max() == pytest.approx(0.1)
    assert matched.errors[0] == pytest.approx([0.9, -1.0, 0.0])
    assert matched.reordered == pytest.approx(2 / 3)


def test_the_basis_of_a_degenerate_level_does_not_matter():
    vectors = unitary_group.rvs(4, random_state=3)
    turned = vectors.copy()
    turned[:, 1:3] = vectors[:, 1:3] @ unitary_group.rvs(2, random_state=4)
    frequencies = np.array([[1.0, 2.0, 2.0, 3.0]])
    matched = match_modes((frequencies, frequencies), (vectors[None], turned[None]))
    assert np.abs(matched.errors).max() == 0
    assert matched.overlaps == pytest.approx(1)
    assert matched.reordered == 0


def test_a_level_that_one_side_splits_is_still_that_level():
    vectors = unitary_group.rvs(3, random_state=5)
    turned = vectors.copy()
    turned[:, :2] = vectors[:, :2] @ unitary_group.rvs(2, random_state=6)
    matched = match_modes(
        (np.array([[1.0, 1.2, 4.0]]), np.array([[1.1, 1.1, 4.0]])),
        (vectors[None], turned[None]),
    )
    assert matched.errors[0] == pytest.approx([-0.1, 0.1, 0.0])
    assert matched.overlaps[0] == pytest.approx(1)


def test_unlike_numbers_of_modes_are_refused():
    with pytest.raises(InputError, match="unlike number"):
        match_modes(
            (np.zeros((1, 3)), np.zeros((1, 6))), (np.zeros((1, 3, 3)), np.zeros((1, 6, 6)))
        )
