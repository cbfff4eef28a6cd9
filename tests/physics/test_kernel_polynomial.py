from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from forcebase.errors import InputError
from forcebase.physics.folding import unfolded_points
from forcebase.physics.kernel_polynomial import (
    crystal_matrix,
    dynamical_matrix,
    jackson,
    kernel_dos,
    resolution,
    spectral_interval,
)
from forcebase.physics.mesh_modes import ROOT_TO_THZ, solve

FREQUENCIES = np.linspace(1.5, 9.1, 800)


@pytest.fixture(scope="module")
def matrix(vacancy):
    return crystal_matrix(vacancy, cutoff=0)


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
    dense = dynamical_matrix(vacancy.force_constants, vacancy.masses, cutoff=0)
    given = csr_array(flat)
    sparse = dynamical_matrix(given, vacancy.masses, cutoff=0)
    assert np.abs((dense - sparse).toarray()).max() < 1e-15
    thinner = dynamical_matrix(given, vacancy.masses, cutoff=0.1)
    assert thinner.nnz < dense.nnz
    np.testing.assert_array_equal(given.toarray(), flat)


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


def test_exact_groups_sum_to_the_whole(matrix, groups):
    parts = kernel_dos(matrix, groups, FREQUENCIES, n_moments=200, n_vectors=33)
    whole = kernel_dos(matrix, {"all": np.ones(33)}, FREQUENCIES, n_moments=200, n_vectors=33)
    np.testing.assert_allclose(sum(parts.groups.values()), whole.groups["all"], atol=1e-9)
    assert sum(parts.imaginary.values()) == pytest.approx(whole.imaginary["all"])


def test_imaginary_modes_are_counted_and_left_out(matrix):
    """Two of the optical modes are turned imaginary, as far from zero as they were."""
    values, vectors = np.linalg.eigh(matrix.toarray())
    soft = vectors[:, -2:]
    unstable = csr_array(matrix.toarray() - 2 * (soft * values[-2:]) @ soft.T)
    everything = {"all": np.ones(33, dtype=bool)}
    before, after = (
        kernel_dos(m, everything, FREQUENCIES, n_moments=800, n_vectors=33)
        for m in (matrix, unstable)
    )
    acoustic = 1.5  # zero to the kernel's width: half of the three count
    assert before.imaginary["all"] == pytest.approx(acoustic, abs=0.1)
    assert after.imaginary["all"] == pytest.approx(acoustic + 2, abs=0.1)
    states = [np.trapezoid(found.groups["all"], FREQUENCIES) for found in (before, after)]
    assert states[0] - states[1] == pytest.approx(2, abs=0.05)


def test_the_supercell_has_the_density_that_blochs_theorem_gives(pristine):
    """Translation makes the 3x3 matrix; the unit cell's modes at 9 q-points are its modes."""
    matrix = crystal_matrix(pristine)
    symbols = np.repeat(pristine.supercell_atoms.symbols, 3)
    groups = {symbol: symbols == symbol for symbol in ("W", "Se")}
    found = kernel_dos(matrix, groups, FREQUENCIES, n_moments=300, n_vectors=81)
    sigma = resolution(spectral_interval(matrix), 300, FREQUENCIES)
    expected = {symbol: np.zeros(len(FREQUENCIES)) for symbol in groups}
    for modes in solve(pristine, unfolded_points(np.diag([3, 3, 1]), (0, 0, 0))):
        shares = (np.abs(modes.eigenvectors) ** 2).sum(axis=1)
        for site, symbol in enumerate(pristine.primitive_symbols):
            expected[symbol] += broadened(modes.frequencies, shares[site], FREQUENCIES, sigma)
    for symbol, density in expected.items():
        assert np.abs(found.groups[symbol] - density).max() < 0.04 * density.max()


def test_random_vectors_are_right_within_their_own_error(pristine):
    """All sites of the 3x3 crystal as one group."""
    matrix = crystal_matrix(pristine)
    every = {"all": np.ones(81, dtype=bool)}
    exact = kernel_dos(matrix, every, FREQUENCIES, n_moments=300, n_vectors=81)
    few, many = (
        kernel_dos(matrix, every, FREQUENCIES, n_moments=300, n_vectors=n, seed=3) for n in (8, 64)
    )
    for found in (few, many):
        off = np.abs(found.groups["all"] - exact.groups["all"])
        inside = found.errors["all"] > 1e-3
        assert np.mean(off[inside] < 4 * found.errors["all"][inside]) > 0.9
    assert many.errors["all"].max() < few.errors["all"].max() / 1.5
    again, other = (
        kernel_dos(matrix, every, FREQUENCIES, n_moments=300, n_vectors=8, seed=s) for s in (3, 4)
    )
    np.testing.assert_array_equal(again.groups["all"], few.groups["all"])
    assert np.abs(other.groups["all"] - few.groups["all"]).max() > 1e-3


def test_a_grid_to_the_end_of_the_interval_holds_all_states_and_no_more(matrix, groups):
    """At the very end the weight diverges: rounding must not make a spike of it."""
    interval = spectral_interval(matrix)
    for last in interval.high * np.array([1 - 1e-15, 1.0, 1 + 1e-15]):
        grid = np.linspace(0.0, np.sqrt(last) * ROOT_TO_THZ, 2001)[1:]
        found = kernel_dos(matrix, groups, grid, n_moments=400, n_vectors=24)
        for name, mask in groups.items():
            states = found.groups[name].sum() * grid[0] + found.imaginary[name]
            assert states == pytest.approx(mask.sum(), rel=2e-3)
            assert found.groups[name][-1] < 0.01 * found.groups[name].max()


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
    with pytest.raises(InputError, match="'short' has the shape"):
        kernel_dos(matrix, {"short": np.ones(11, dtype=bool)}, FREQUENCIES)
    with pytest.raises(InputError, match="too few"):
        kernel_dos(matrix, {"all": np.ones(33, dtype=bool)}, FREQUENCIES, n_vectors=1)


def test_force_constants_must_fit_the_masses(pristine):
    with pytest.raises(InputError, match="do not fit 3 masses"):
        dynamical_matrix(pristine.force_constants, pristine.masses)
