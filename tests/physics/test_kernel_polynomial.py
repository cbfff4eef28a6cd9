from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from forcebase.errors import InputError
from forcebase.physics.kernel_polynomial import (
    dynamical_matrix,
    jackson,
    kernel_dos,
    resolution,
    spectral_interval,
)
from forcebase.physics.local_dos import site_dos
from forcebase.physics.mesh_modes import ROOT_TO_THZ, solve

FREQUENCIES = np.linspace(1.5, 9.1, 800)


@pytest.fixture(scope="module")
def matrix(vacancy):
    return dynamical_matrix(vacancy.force_constants, vacancy.masses)


@pytest.fixture(scope="module")
def groups(vacancy):
    symbols = np.repeat(vacancy.primitive_symbols, 3)
    return {"W": symbols == "W", "Se": symbols == "Se"}


def broadened(values, weights, frequencies, sigma):
    """Gaussians of the given width at each frequency."""
    apart = (frequencies[:, None] - values) / sigma[:, None]
    return (np.exp(-(apart**2) / 2) / (sigma[:, None] * np.sqrt(2 * np.pi))) @ weights


def test_the_matrix_has_the_modes_at_gamma(matrix, vacancy):
    values = np.linalg.eigvalsh(matrix.toarray())
    (modes,) = solve(vacancy, (0, 0, 0))
    found = np.sign(values) * np.sqrt(np.abs(values)) * ROOT_TO_THZ
    np.testing.assert_allclose(found[3:], modes.frequencies[3:], atol=1e-8)
    interval = spectral_interval(matrix)
    assert interval.low < values[0]
    assert interval.high > values[-1]


def test_sparse_and_dense_force_constants_give_one_matrix(vacancy):
    n = len(vacancy.numbers)
    flat = vacancy.force_constants.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    dense = dynamical_matrix(vacancy.force_constants, vacancy.masses)
    sparse = dynamical_matrix(csr_array(flat), vacancy.masses)
    assert np.abs((dense - sparse).toarray()).max() < 1e-15
    thinner = dynamical_matrix(vacancy.force_constants, vacancy.masses, cutoff=0.1)
    assert thinner.nnz < dense.nnz


def test_exact_traces_are_the_diagonalised_density_with_the_kernels_width(matrix, groups):
    """Jackson's kernel is nearly a Gaussian: its tails are 2 % of the peak off."""
    found = kernel_dos(matrix, groups, FREQUENCIES, n_moments=300, n_vectors=24)
    values, vectors = np.linalg.eigh(matrix.toarray())
    modes = np.sqrt(np.clip(values, 0, None)) * ROOT_TO_THZ
    sigma = resolution(spectral_interval(matrix), 300, FREQUENCIES)
    for name, mask in groups.items():
        expected = broadened(modes, (vectors[mask] ** 2).sum(axis=0), FREQUENCIES, sigma)
        assert np.abs(found.groups[name] - expected).max() < 0.04 * expected.max()
        assert not found.errors[name].any()


def test_groups_hold_their_degrees_of_freedom(matrix, groups):
    """All modes but the acoustic ones, which lie below the grid, are in it."""
    found = kernel_dos(matrix, groups, FREQUENCIES, n_moments=300)
    total = sum(np.trapezoid(states, FREQUENCIES) for states in found.groups.values())
    assert total == pytest.approx(33 - 3, rel=2e-3)
    assert sum(found.imaginary.values()) < 3


def test_random_vectors_are_right_within_their_own_error(vacancy, pristine):
    """All sites of the 3x3 crystal as one group, against its folded exact density."""
    from forcebase.physics.harmonic_crystal import as_atoms

    supercell = as_atoms(pristine.phonopy.supercell)
    full = _full(pristine)
    matrix = dynamical_matrix(full, supercell.get_masses())
    every = {"all": np.ones(len(full) * 3, dtype=bool)}
    exact = kernel_dos(matrix, every, FREQUENCIES, n_moments=300, n_vectors=81)
    few, many = (
        kernel_dos(matrix, every, FREQUENCIES, n_moments=300, n_vectors=n, seed=3) for n in (8, 64)
    )
    for found in (few, many):
        off = np.abs(found.groups["all"] - exact.groups["all"])
        inside = found.errors["all"] > 1e-3
        assert np.mean(off[inside] < 4 * found.errors["all"][inside]) > 0.9
    assert many.errors["all"].max() < few.errors["all"].max() / 1.5
    again = kernel_dos(matrix, every, FREQUENCIES, n_moments=300, n_vectors=8, seed=3)
    np.testing.assert_array_equal(again.groups["all"], few.groups["all"])
    folded = site_dos(pristine, (3, 3, 1), FREQUENCIES, sigma=0.05)
    apart = np.trapezoid(np.abs(exact.groups["all"] - 9 * folded.total), FREQUENCIES) / 81
    assert apart < 0.5


def test_more_moments_resolve_more(matrix):
    interval = spectral_interval(matrix)
    coarse, fine = (resolution(interval, n, FREQUENCIES) for n in (200, 400))
    np.testing.assert_allclose(coarse, 2 * fine)
    factors = jackson(200)
    assert factors[0] == pytest.approx(1.0)
    assert np.all(np.diff(factors) < 0)


def test_what_has_no_density_is_refused(matrix):
    with pytest.raises(InputError, match="above zero"):
        kernel_dos(matrix, {"all": np.ones(33, dtype=bool)}, [-1.0, 1.0])
    with pytest.raises(InputError, match="'none' holds no"):
        kernel_dos(matrix, {"none": np.zeros(33, dtype=bool)}, FREQUENCIES)


def _full(crystal):
    from phonopy.harmonic.force_constants import compact_fc_to_full_fc

    return compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants)
