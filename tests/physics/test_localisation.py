from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from forcebase.physics.local_dos import site_groups
from forcebase.physics.localisation import (
    inverse_participation_ratio,
    localised_modes,
    shell_weights,
)
from forcebase.physics.shells import Shells


def test_participation_counts_the_sites_of_a_mode():
    n = 20
    shares = np.zeros((n, 3))
    shares[:, 0] = 1 / n
    shares[4, 1] = 1.0
    shares[:5, 2] = 0.2
    np.testing.assert_allclose(1 / inverse_participation_ratio(shares), [n, 1, 5])


@pytest.fixture
def chain():
    """A chain of 20 equal masses on springs, but the first one is a tenth as heavy.

    Lifshitz' textbook case: a light mass has one mode above the band, and it falls off
    exponentially with the distance.
    """
    n = 20
    masses = np.ones(n)
    masses[0] = 0.1
    springs = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    springs[0, -1] = springs[-1, 0] = -1
    dynamical = np.zeros((n, 3, n, 3))
    for axis, stiffness in ((0, 1.0), (1, 0.3), (2, 0.1)):
        dynamical[:, axis, :, axis] = stiffness * springs / np.sqrt(np.outer(masses, masses))
    values, vectors = np.linalg.eigh(dynamical.reshape(3 * n, 3 * n))
    atoms = Atoms("H" * n, positions=[(2.0 * i, 0, 0) for i in range(n)], cell=(40, 20, 20))
    atoms.pbc = True
    return atoms, np.sqrt(np.abs(values)), vectors.reshape(n, 3, 3 * n)


def test_a_light_mass_in_a_chain_has_its_own_mode_above_each_band(chain):
    atoms, frequencies, vectors = chain
    groups = site_groups(atoms, (0, 0, 0), Shells((1.0, 5.0)))
    found = localised_modes(frequencies, vectors, groups, np.array([0.0, 0.0, 1.0]))
    # Infinite chain: w^2 = w_max^2 / (1 - e^2), mass defect e = 0.9; Maradudin et al. (1963).
    expected = np.sqrt([4 * k / (1 - 0.9**2) for k in (0.1, 0.3, 1.0)])
    np.testing.assert_allclose([mode.frequency for mode in found], expected, rtol=1e-6)
    assert [mode.character for mode in found] == [
        "H out-of-plane",
        "H in-plane",
        "H in-plane",
    ]
    for mode in found:
        assert mode.weights[0] > 0.8
        assert sum(mode.weights) == pytest.approx(1.0)
        assert mode.participation < 2
        assert mode.enrichment == pytest.approx(mode.weights[0] * 20)
        assert mode.as_dict()["frequency_THz"] == mode.frequency


def test_no_mode_of_a_perfect_chain_is_a_defects(chain):
    atoms, _, _ = chain
    n = len(atoms)
    angles = 2 * np.pi * np.outer(np.arange(n), np.arange(n)) / n
    waves = (np.cos(angles) + np.sin(angles)) / np.sqrt(n)
    vectors = np.einsum("im,ab->iamb", waves, np.eye(3)).reshape(n, 3, 3 * n)
    groups = site_groups(atoms, (0, 0, 0), Shells((3.0, 5.0)))
    assert not localised_modes(np.arange(3.0 * n), vectors, groups, np.array([0.0, 0.0, 1.0]))
    weights = shell_weights((vectors**2).sum(axis=1), groups)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)


def test_modes_of_one_level_count_as_one(chain):
    """Vectors of a degenerate pair may be mixed at will: the level's weights do not change."""
    atoms, frequencies, vectors = chain
    groups = site_groups(atoms, (0, 0, 0), Shells((1.0, 5.0)))
    same = frequencies.copy()
    top = np.argsort(same)[-2:]
    same[top] = same[top].mean()
    mixed = vectors.copy()
    mixed[:, :, top] = vectors[:, :, top] @ np.array([[0.6, -0.8], [0.8, 0.6]])
    normal = np.array([0.0, 0.0, 1.0])
    (one,) = [m for m in localised_modes(same, vectors, groups, normal) if m.degeneracy == 2]
    (two,) = [m for m in localised_modes(same, mixed, groups, normal) if m.degeneracy == 2]
    assert one.weights == pytest.approx(two.weights)
    assert one.species == pytest.approx(two.species)
