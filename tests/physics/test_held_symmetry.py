"""Symmetry is taken from force constants, with magnetic moments and without."""

from dataclasses import replace

import numpy as np
import pytest
from small_phonons import (
    at,
    copper,
    from_phonopy_yaml,
    loaded_by_phonopy,
    unpacked_case,
)

from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import irreducible_mesh
from forcebase.physics.vibrations import density_of_states, modes, thermal_properties

MESH = [4, 4, 4]
GAMMA = "0 0 0 2.7500 2.7500 2.7508 2.7508 3.8896 4.2002 4.2002 5.0210 5.0210"
SIDE = "1.9445 1.9445 2.9700 2.9700 3.3683 3.3683 3.5503 3.5503 3.5504 3.5504 4.0483 4.0483"


@pytest.fixture(scope="module")
def magnet(tmp_path_factory):
    """fcc iron in antiferromagnetic layers, as forcebase and as phonopy reads it."""
    folder = unpacked_case("phonopy_magnetic", tmp_path_factory.mktemp("iron"))
    file = folder / "phonopy_params.yaml"
    return from_phonopy_yaml(file), loaded_by_phonopy(file)


def test_moments_count_for_the_force_constants(magnet):
    crystal, made = magnet
    np.testing.assert_array_equal(crystal.moments, [1, 1, -1, -1])
    points = [(0, 0, 0), (0.5, 0, 0)]
    found = modes(crystal, points).frequencies
    for row, text in zip(found, (GAMMA, SIDE), strict=True):
        np.testing.assert_allclose(row, [float(word) for word in text.split()], atol=1e-4)
    np.testing.assert_allclose(found, at(made, points), atol=1e-5)
    assert crystal.symmetry.is_whole


def test_force_constants_with_less_symmetry_than_the_structure_reduce_by_less(magnet):
    crystal, _ = magnet
    silent = replace(crystal, moments=None)
    held = silent.symmetry
    assert held.n_held == crystal.symmetry.n_held < held.n_of_structure
    assert f"hold to {held.n_held} of the {held.n_of_structure}" in held.finding()
    np.testing.assert_array_equal(held.rotations, crystal.symmetry.rotations)
    points, weights = irreducible_mesh(silent, MESH)
    every, equal = irreducible_mesh(silent, MESH, symmetry=False)
    assert len(points) < len(every)
    found = weights @ modes(silent, points).frequencies.sum(axis=1)
    assert found == pytest.approx(equal @ modes(silent, every).frequencies.sum(axis=1), rel=1e-9)


def test_states_and_heat_are_those_without_any_symmetry(magnet):
    crystal, made = magnet
    silent = replace(crystal, moments=None)
    made.run_mesh(MESH, is_gamma_center=True, is_mesh_symmetry=False)
    made.run_thermal_properties(temperatures=[300.0], exclude_gamma_acoustic=True)
    heat = thermal_properties(silent, [300.0], MESH)
    assert heat.heat_capacity[0] == pytest.approx(
        made.thermal_properties.heat_capacity[0], rel=1e-9
    )
    states = density_of_states(silent, MESH)
    peaks = np.exp(
        -(((states.frequencies[:, None] - made.mesh.frequencies.ravel()) / 0.05) ** 2) / 2
    )
    weights = np.repeat(made.mesh.weights, 12) / made.mesh.weights.sum()
    expected = peaks @ weights / (0.05 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(states.total, expected, atol=1e-6)


def test_a_cubic_metal_has_all_of_its_symmetry_and_one_broken_spring_takes_some():
    crystal = HarmonicCrystal.from_phonopy(copper())
    assert (crystal.symmetry.n_held, crystal.symmetry.n_of_structure) == (48, 48)
    assert crystal.symmetry.finding() is None
    constants = crystal.force_constants.copy()
    constants[0, 0, 2, 2] *= 1.05
    broken = replace(crystal, force_constants=constants)
    assert broken.symmetry.n_held == 16
    turns = np.linalg.inv(broken.primitive_cell.T)
    for rotation in broken.symmetry.rotations:
        turn = broken.primitive_cell.T @ rotation @ turns
        assert abs(turn[2, 2]) == pytest.approx(1)
