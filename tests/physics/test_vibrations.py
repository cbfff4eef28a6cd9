from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from scipy.spatial.transform import Rotation
from small_phonons import from_phonopy_yaml, gamma_frequencies

from forcebase.errors import InputError
from forcebase.physics.band_path import band_path
from forcebase.physics.harmonic_crystal import HarmonicCrystal, symmetrize
from forcebase.physics.vibrations import (
    bands,
    density_of_states,
    frequency_grid,
    modes,
    thermal_properties,
)
from forcebase.units import THZ_TO_CM1

YAML = Path(__file__).parents[2] / "data" / "wse2_gpaw" / "phonopy_wse2_gpaw_3x3.yaml"
MESH = (12, 12, 1)
PLANCK_EV_PER_THZ = 4.135667696923859e-3
GAS_CONSTANT = 8.31446261815324
TO_THZ = 15.633302300230191  # sqrt(eV / angstrom^2 / amu) / (2 pi), CODATA 2018


@pytest.fixture(scope="module")
def crystal():
    return symmetrize(from_phonopy_yaml(YAML))


@pytest.fixture(scope="module")
def dos(crystal):
    return density_of_states(crystal, MESH)


def spring_chain(spring=4.0, mass=50.0, n=8):
    """Monatomic chain along x with nearest-neighbour springs; stiff against y and z: not at all."""
    constants = np.zeros((1, n, 3, 3))
    constants[0, 0, 0, 0] = 2 * spring
    constants[0, [1, n - 1], 0, 0] = -spring
    return HarmonicCrystal(
        numbers=np.array([29]),
        cell=np.diag([3.0, 12.0, 12.0]),
        positions=np.zeros((1, 3)),
        masses=np.array([mass]),
        supercell_matrix=np.diag([n, 1, 1]),
        primitive_matrix=np.eye(3),
        force_constants=constants,
    )


def test_a_chain_of_springs_follows_its_textbook_dispersion():
    q = np.linspace(0, 0.5, 11)
    found = modes(spring_chain(), np.stack([q, 0 * q, 0 * q], axis=1)).frequencies[:, -1]
    expected = 2 * np.sqrt(4.0 / 50.0) * np.sin(np.pi * q) * TO_THZ
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_frequencies_of_the_dft_phonon_at_gamma_m_and_k():
    dft = from_phonopy_yaml(YAML)
    optical = gamma_frequencies(dft)[3:] * THZ_TO_CM1
    np.testing.assert_allclose(optical, [168.6, 168.6, 239.7, 239.7, 242.5, 300.1], atol=0.05)
    found = bands(dft, band_path(dft.primitive_cell, (False, False, True)))
    m, k = (found.frequencies[i] * THZ_TO_CM1 for i in found.path.label_indices[1:3])
    np.testing.assert_allclose(m[[0, -1]], [98.6, 256.1], atol=0.05)
    np.testing.assert_allclose(k[[0, -1]], [95.2, 249.8], atol=0.05)
    assert found.labels == ("G", "M", "K", "G")
    assert found.frequencies.shape == (len(found.distances), 9)


def test_three_acoustic_modes_rest_at_gamma(crystal):
    # The ZA mode's frequency is a square root of rounding errors, so it is never quite 0.
    assert np.abs(gamma_frequencies(crystal)[:3]).max() < 1e-5


def test_eigenvectors_diagonalise_and_are_orthonormal(crystal):
    found = modes(crystal, [[0.1, 0.2, 0], [1 / 3, 1 / 3, 0]])
    for vectors in found.eigenvectors:
        np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(9), atol=1e-10)


def test_a_supercell_folds_its_q_points_onto_gamma(crystal):
    n = 27
    folded = HarmonicCrystal(
        numbers=np.array(crystal.phonopy.supercell.numbers, dtype=np.int64),
        cell=crystal.phonopy.supercell.cell,
        positions=crystal.phonopy.supercell.positions,
        masses=crystal.phonopy.supercell.masses,
        supercell_matrix=np.eye(3, dtype=np.int64),
        primitive_matrix=np.eye(3),
        force_constants=compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants),
    )
    q = [[i / 3, j / 3, 0] for i in range(3) for j in range(3)]
    unfolded = np.sort(modes(crystal, q).frequencies.ravel())
    assert len(unfolded) == 3 * n
    np.testing.assert_allclose(gamma_frequencies(folded), unfolded, atol=1e-5)


def test_a_rotated_crystal_vibrates_the_same(crystal):
    turn = Rotation.from_euler("xyz", [0.3, -0.7, 1.1]).as_matrix()
    rotated = replace(
        crystal,
        cell=crystal.cell @ turn.T,
        positions=crystal.positions @ turn.T,
        force_constants=turn @ crystal.force_constants @ turn.T,
    )
    q = [[0.1, 0.2, 0], [0.5, 0, 0], [1 / 3, 1 / 3, 0]]
    expected = modes(crystal, q).frequencies
    np.testing.assert_allclose(modes(rotated, q).frequencies, expected, atol=1e-8)


def test_masses_and_force_constants_scale_frequencies(crystal):
    q = [[0.1, 0.2, 0], [0.5, 0, 0]]
    expected = modes(crystal, q).frequencies
    heavier = replace(crystal, masses=4 * crystal.masses)
    np.testing.assert_allclose(modes(heavier, q).frequencies, expected / 2, atol=1e-9)
    unstable = replace(crystal, force_constants=-crystal.force_constants)
    np.testing.assert_allclose(modes(unstable, q).frequencies, -expected[:, ::-1], atol=1e-9)


def test_dos_counts_all_modes_and_its_projections_add_up(dos):
    assert np.trapezoid(dos.total, dos.frequencies) == pytest.approx(9, rel=1e-3)
    assert np.trapezoid(dos.projected["W"], dos.frequencies) == pytest.approx(3, rel=1e-3)
    assert np.trapezoid(dos.projected["Se"], dos.frequencies) == pytest.approx(6, rel=1e-3)
    np.testing.assert_allclose(dos.projected["W"] + dos.projected["Se"], dos.total, atol=1e-12)
    assert dos.total.min() >= 0


def test_second_moment_of_each_projection_is_the_elements_force_constant(crystal, dos):
    """Over the mesh, sum_j omega_j^2 |e_ij|^2 averages to tr phi(i, i) / m_i: Wigner's rule."""
    for symbol, atoms in (("W", [0]), ("Se", [1, 2])):
        home = crystal.phonopy.primitive.p2s_map
        expected = sum(
            np.trace(crystal.force_constants[i, home[i]]) / crystal.masses[i] for i in atoms
        )
        moment = np.trapezoid(dos.projected[symbol] * dos.frequencies**2, dos.frequencies)
        smearing = 3 * len(atoms) * 0.05**2
        assert (moment - smearing) / TO_THZ**2 == pytest.approx(expected, rel=1e-4)


def test_irreducible_q_points_give_the_projections_of_the_whole_mesh(crystal, dos):
    n = MESH[0]
    q = [[i / n, j / n, 0] for i in range(n) for j in range(n)]
    found = modes(crystal, q)
    shares = (np.abs(found.eigenvectors) ** 2).reshape(len(q), 3, 3, 9).sum(axis=2)
    scaled = (dos.frequencies[:, None, None] - found.frequencies) / 0.05
    gaussians = np.exp(-(scaled**2) / 2) / (0.05 * np.sqrt(2 * np.pi))
    whole = np.einsum("fqj,qj->f", gaussians, shares[:, 0]) / len(q)
    np.testing.assert_allclose(dos.projected["W"], whole, atol=1e-3 * whole.max())


def test_one_grid_holds_two_crystals(crystal):
    softer = replace(crystal, force_constants=0.5 * crystal.force_constants)
    harder = replace(crystal, force_constants=2 * crystal.force_constants)
    grid = frequency_grid([softer, harder], MESH)
    for side in (softer, harder):
        found = density_of_states(side, MESH, grid)
        assert np.trapezoid(found.total, grid) == pytest.approx(9, rel=1e-3)


def test_a_grid_that_loses_modes_is_refused(crystal):
    with pytest.raises(InputError, match="of 9 modes"):
        density_of_states(crystal, MESH, np.linspace(0, 5, 501))
    with pytest.raises(InputError, match="of 9 modes"):
        density_of_states(crystal, MESH, np.linspace(-1, 10, 40))


def test_thermodynamics_obeys_its_identities(crystal, dos):
    temperatures = np.array([0.0, 299.0, 300.0, 301.0, 5000.0])
    found = thermal_properties(crystal, temperatures, MESH)
    joule_per_ev = 96485.33212331002
    slope = (found.free_energy[3] - found.free_energy[1]) / 2 * joule_per_ev
    assert -slope == pytest.approx(found.entropy[2], rel=1e-5)
    heating = 300 * (found.entropy[3] - found.entropy[1]) / 2
    assert heating == pytest.approx(found.heat_capacity[2], rel=1e-4)
    vibrating = 9 - 3 / 144  # without the acoustic modes at Gamma
    assert found.heat_capacity[4] == pytest.approx(vibrating * GAS_CONSTANT, rel=1e-3)
    zero_point = PLANCK_EV_PER_THZ / 2 * np.trapezoid(dos.total * dos.frequencies, dos.frequencies)
    assert found.free_energy[0] == pytest.approx(zero_point, rel=1e-6)
    assert found.entropy[0] == 0
    assert found.imaginary_share == 0


def test_imaginary_modes_are_counted(crystal):
    unstable = replace(crystal, force_constants=-crystal.force_constants)
    found = thermal_properties(unstable, [300.0], MESH)
    assert found.imaginary_share == pytest.approx(1 - 3 / (9 * 144))
