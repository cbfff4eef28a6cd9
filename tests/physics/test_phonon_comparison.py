from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_phonons import from_phonopy_yaml

from forcebase.errors import InputError
from forcebase.physics.band_path import band_path
from forcebase.physics.harmonic_crystal import symmetrize
from forcebase.physics.phonon_comparison import compare_bands, compare_dos
from forcebase.physics.vibrations import Bands, bands, density_of_states, frequency_grid

YAML = Path(__file__).parents[2] / "data" / "wse2_gpaw" / "phonopy_wse2_gpaw_3x3.yaml"
MESH = (12, 12, 1)


@pytest.fixture(scope="module")
def crystal():
    return symmetrize(from_phonopy_yaml(YAML))


@pytest.fixture(scope="module")
def stiffer(crystal):
    """Every frequency larger by a tenth."""
    return replace(crystal, force_constants=1.21 * crystal.force_constants)


@pytest.fixture(scope="module")
def path(crystal):
    return band_path(crystal.primitive_cell, (False, False, True))


def test_a_tenth_stiffer_is_a_tenth_off(crystal, stiffer, path):
    reference = bands(crystal, path)
    errors = compare_bands(bands(stiffer, path), reference)
    tenth = 0.1 * np.abs(reference.frequencies)
    assert errors.mae == pytest.approx(tenth.mean(), rel=1e-6)
    assert errors.bias == pytest.approx(tenth.mean(), rel=1e-4)
    assert errors.rmse == pytest.approx(np.sqrt((tenth**2).mean()), rel=1e-6)
    assert errors.max == pytest.approx(tenth.max(), rel=1e-6)
    assert errors.mae_cm1 == pytest.approx(errors.mae * 33.35640951981521)
    assert errors.as_dict()["band_rmse_cm1"] == errors.rmse_cm1


def test_bands_are_compared_in_the_order_of_frequency(crystal, path):
    found = bands(crystal, path)
    shuffled = Bands(path, found.frequencies[:, ::-1])
    assert compare_bands(shuffled, found).max == 0


def test_earth_movers_distance_is_the_mean_shift(crystal, stiffer):
    grid = frequency_grid([crystal, stiffer], MESH)
    reference = density_of_states(crystal, MESH, grid)
    errors = compare_dos(density_of_states(stiffer, MESH, grid), reference)
    for found, dos in (
        (errors.total, reference.total),
        (errors.elements["W"], reference.projected["W"]),
        (errors.elements["Se"], reference.projected["Se"]),
    ):
        mean = np.trapezoid(dos * grid, grid) / np.trapezoid(dos, grid)
        assert found.wasserstein == pytest.approx(0.1 * mean, rel=1e-2)
        assert 0 < found.misplaced <= 2
    parts = errors.elements["W"].difference + errors.elements["Se"].difference
    np.testing.assert_allclose(parts, errors.total.difference, atol=1e-10)


def test_spectra_without_overlap_are_wholly_misplaced_and_equal_ones_not_at_all(crystal):
    far = replace(crystal, force_constants=400 * crystal.force_constants)
    grid = frequency_grid([crystal, far], (1, 1, 1))
    sides = [density_of_states(side, (1, 1, 1), grid) for side in (crystal, far)]
    assert compare_dos(sides[0], sides[0]).total.misplaced == 0
    assert compare_dos(sides[0], sides[0]).total.wasserstein == 0
    # Three of nine modes at Gamma are acoustic and stay where they are.
    assert compare_dos(*sides).total.misplaced == pytest.approx(2 * 6 / 9, rel=1e-3)


def test_comparisons_are_even_handed(crystal, stiffer, path):
    grid = frequency_grid([crystal, stiffer], MESH)
    a, b = (density_of_states(side, MESH, grid) for side in (crystal, stiffer))
    assert compare_dos(a, b).total.wasserstein == pytest.approx(compare_dos(b, a).total.wasserstein)
    one = compare_bands(bands(crystal, path), bands(stiffer, path))
    other = compare_bands(bands(stiffer, path), bands(crystal, path))
    assert (one.mae, one.bias) == (other.mae, -other.bias)


def test_unlike_q_points_grids_and_elements_are_refused(crystal, path):
    found = bands(crystal, path)
    other = band_path(crystal.primitive_cell, (False, False, True), density=20)
    with pytest.raises(InputError, match="q-points"):
        compare_bands(found, bands(crystal, other))
    with pytest.raises(InputError, match="9 bands cannot be compared with 8"):
        compare_bands(found, Bands(path, found.frequencies[:, :8]))
    dos = density_of_states(crystal, (3, 3, 1))
    with pytest.raises(InputError, match="frequency grids"):
        compare_dos(dos, density_of_states(crystal, (3, 3, 1), sigma=0.1))
    with pytest.raises(InputError, match="Se, W cannot be compared with one of Mo, Se"):
        compare_dos(dos, replace(dos, projected={"Mo": dos.total, "Se": dos.total}))
