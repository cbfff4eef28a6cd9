"""Modes paired by what they do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import unitary_group

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mode_matching import match_modes
from forcebase.physics.vibrations import modes as modes_at


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


def a_layer(in_plane, out_of_plane):
    """A square layer of one atom with springs to its neighbours, eV/angstrom^2."""
    constants = np.zeros((1, 9, 3, 3))
    crystal = HarmonicCrystal(
        numbers=np.array([6]),
        cell=np.diag([2.0, 2.0, 20.0]),
        positions=np.array([[0.0, 0.0, 10.0]]),
        masses=np.array([12.0]),
        supercell_matrix=np.diag([3, 3, 1]),
        primitive_matrix=np.eye(3),
        force_constants=constants,
    )
    spring = np.diag([in_plane, in_plane, out_of_plane])
    steps = np.round(crystal.supercell_atoms.positions[:, :2] / 2).astype(int) % 3
    lengths = np.minimum(steps, 3 - steps).sum(axis=1)
    constants[0, lengths == 1] = -spring
    constants[0, lengths == 0] = 4 * spring
    return replace(crystal, force_constants=constants)


def test_bands_that_have_changed_places_are_wrong_though_their_order_is_right():
    """In-plane and out-of-plane branches exchanged: sorted, only their number tells."""
    q_points = np.linspace([0.05, 0.02, 0], [0.5, 0.5, 0], 9)
    ours, theirs = modes_at(a_layer(4.0, 1.0), q_points), modes_at(a_layer(1.0, 4.0), q_points)
    matched = match_modes(
        (ours.frequencies, theirs.frequencies), (ours.eigenvectors, theirs.eigenvectors)
    )
    by_order = np.abs(ours.frequencies - theirs.frequencies).mean()
    # Frequencies go with the root of the spring: every band is off by a factor of two.
    halves = np.abs(matched.errors) / theirs.frequencies
    assert np.sort(np.unique(halves.round(6))) == pytest.approx([0.5, 1.0])
    assert np.abs(matched.errors).mean() == pytest.approx(3 * by_order)
    assert matched.overlaps == pytest.approx(1)
    assert matched.reordered > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_level_that_goes_to_two_others_goes_there_in_order(seed):
    """Which member of a degenerate level goes where is rounding, and must not be seen."""
    vectors = unitary_group.rvs(3, random_state=7)
    turned = vectors.copy()
    turned[:, :2] = vectors[:, :2] @ unitary_group.rvs(2, random_state=seed)
    matched = match_modes(
        (np.array([[1.0, 1.0005, 9.0]]), np.array([[1.2, 2.0, 9.0]])),
        (turned[None], vectors[None]),
    )
    assert matched.errors[0] == pytest.approx([-0.2, -0.9995, 0.0])
    assert matched.reordered == 0
