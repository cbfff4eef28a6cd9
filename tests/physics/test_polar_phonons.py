"""The non-analytical term against phonopy itself: NaCl's real one, and a tetragonal crystal."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from phonopy import Phonopy
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from scipy.spatial.transform import Rotation
from small_phonons import (
    at,
    from_phonopy_yaml,
    gamma_frequencies,
    loaded_by_phonopy,
    tetragonal_gold_copper,
    unpacked_case,
)

from forcebase.errors import InputError
from forcebase.physics.band_path import band_path
from forcebase.physics.crystal_setting import in_one_setting, in_setting_of, with_smallest_cell
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.thermal_displacements import ThermalDraws, draw_thermal
from forcebase.physics.vibrations import (
    bands,
    density_of_states,
    modes,
    thermal_properties,
)

SAME = 1e-5
"""THz."""
TURNED = Rotation.from_euler("xyz", [20, -35, 65], degrees=True).as_matrix()


@pytest.fixture(scope="module")
def salt(tmp_path_factory):
    """NaCl as forcebase and as phonopy reads it."""
    file = unpacked_case("ph_nac_params", tmp_path_factory.mktemp("salt")) / "phonopy_params.yaml"
    return from_phonopy_yaml(file), loaded_by_phonopy(file, symmetrize_fc=False)


@pytest.fixture(scope="module")
def tetragonal():
    """AuCu with charges that it does not have, so that directions differ."""
    made = tetragonal_gold_copper()
    made.nac_params = {
        "born": np.array([np.diag([1.2, 1.2, 0.8]), -np.diag([1.2, 1.2, 0.8])]),
        "dielectric": np.diag([3.0, 3.0, 5.0]),
        "factor": 14.4,
    }
    return HarmonicCrystal.from_phonopy(made), made


def test_salt_splits_at_gamma_along_a_direction_as_the_right_answer_says(salt):
    crystal, _ = salt
    expected = [0, 0, 0, 4.6164, 4.6164, 7.3963]
    np.testing.assert_allclose(gamma_frequencies(crystal, (1, 0, 0)), expected, atol=1e-4)
    np.testing.assert_allclose(gamma_frequencies(crystal)[3:], 4.6164, atol=1e-4)
    expected = [2.0992, 2.4689, 3.7401, 4.0851, 4.7650, 6.3960]
    between = modes(crystal, [(0.13, 0.21, 0.37)]).frequencies[0]
    np.testing.assert_allclose(between, expected, atol=1e-4)


@pytest.mark.parametrize("which", ["salt", "tetragonal"])
def test_frequencies_are_phonopys(which, request):
    crystal, made = request.getfixturevalue(which)
    for way in ((1, 0, 0), (1, 1, 0), (0, 0, 1), (0.3, -0.2, 0.7)):
        found = gamma_frequencies(crystal, way)
        np.testing.assert_allclose(found, at(made, (0, 0, 0), way)[0], atol=SAME)
    points = [(0.5, 0, 0), (0.5, 0.5, 0), (0.5, 0.5, 0.5), (0.5, 0.25, 0.75), (0.01, 0, 0)]
    points += [(0.13, 0.21, 0.37), (0, 0, 0.499), (0.375, 0.375, 0.75)]
    np.testing.assert_allclose(modes(crystal, points).frequencies, at(made, points), atol=SAME)


def test_directions_at_gamma_differ_where_the_crystal_is_not_cubic(tetragonal):
    crystal, made = tetragonal
    path = band_path(crystal.primitive_cell, polar=True)
    found = bands(crystal, path)
    ways = {way: index for index, way in path.gamma_points()}
    assert {"G-X", "G-Z"} <= set(ways)
    highest = {way: found.frequencies[index].max() for way, index in ways.items()}
    assert abs(highest["G-X"] - highest["G-Z"]) > 0.1
    for way, index in ways.items():
        expected = at(made, (0, 0, 0), path.directions[index])[0]
        np.testing.assert_allclose(found.frequencies[index], expected, atol=SAME, err_msg=way)


def test_bands_along_a_path_are_phonopys(salt):
    crystal, made = salt
    path = band_path(crystal.primitive_cell, polar=True, density=10)
    found = bands(crystal, path)
    for start, stop in path.segments:
        corners = [i for i in path.label_indices if start <= i < stop]
        for first, last in itertools.pairwise(corners):  # phonopy's paths are straight
            leg = slice(first, last + 1)
            made.run_band_structure([path.q_points[leg]])
            expected = np.sort(made.band_structure.frequencies[0], axis=1)
            np.testing.assert_allclose(found.frequencies[leg], expected, atol=SAME)


def test_states_and_heat_on_a_mesh_are_phonopys(salt):
    crystal, made = salt
    mesh = [5, 5, 5]
    made.run_mesh(mesh, is_gamma_center=True, with_eigenvectors=True, is_mesh_symmetry=False)
    made.run_thermal_properties(temperatures=[300.0], exclude_gamma_acoustic=True)
    heat = thermal_properties(crystal, [300.0], mesh)
    assert heat.entropy[0] == pytest.approx(made.thermal_properties.entropy[0], rel=1e-6)
    without = thermal_properties(replace(crystal, response=None), [300.0], mesh)
    assert abs(heat.entropy[0] - without.entropy[0]) > 0.1
    states = density_of_states(crystal, mesh, sigma=0.1)
    found = made.mesh.frequencies.ravel()
    peaks = np.exp(-(((states.frequencies[:, None] - found) / 0.1) ** 2) / 2)
    expected = peaks.sum(axis=1) / (0.1 * np.sqrt(2 * np.pi)) / np.prod(mesh)
    np.testing.assert_allclose(states.total, expected, atol=1e-5)


def test_another_setting_turns_the_charges_along(tetragonal):
    crystal, _ = tetragonal
    other = replace(
        crystal,
        cell=crystal.cell @ TURNED,
        positions=crystal.positions @ TURNED,
        force_constants=np.einsum("ba,ijbc,cd->ijad", TURNED, crystal.force_constants, TURNED),
        response=crystal.response.turned(TURNED),
    )
    np.testing.assert_allclose(
        gamma_frequencies(other, (1, 0, 0)), gamma_frequencies(crystal, (1, 0, 0)), atol=SAME
    )
    back = in_setting_of(other, crystal)
    np.testing.assert_allclose(back.response.born, crystal.response.born, atol=1e-9)
    np.testing.assert_allclose(back.response.dielectric, crystal.response.dielectric, atol=1e-9)
    left, right = in_one_setting(other, crystal)
    points = [(0.1, 0.2, 0.3), (0.5, 0, 0)]
    np.testing.assert_allclose(
        modes(left, points).frequencies, modes(right, points).frequencies, atol=SAME
    )


def test_a_smaller_primitive_cell_keeps_the_charges_of_its_atoms(salt, tmp_path):
    crystal, made = salt
    conventional = made.unitcell
    whole = Phonopy(conventional, made.supercell_matrix, primitive_matrix=np.eye(3))
    full = compact_fc_to_full_fc(made.primitive, made.force_constants)
    whole.force_constants = full[whole.primitive.p2s_map]
    charge = {"Na": made.nac_params["born"][0], "Cl": made.nac_params["born"][1]}
    whole.nac_params = made.nac_params | {
        "born": np.array([charge[s] for s in conventional.symbols])
    }
    large = HarmonicCrystal.from_phonopy(whole)
    assert len(large.response.born) == 8
    small = with_smallest_cell(large)
    assert len(small.response.born) == 2
    np.testing.assert_allclose(
        gamma_frequencies(small, (1, 1, 1)), gamma_frequencies(crystal, (1, 1, 1)), atol=SAME
    )


def test_a_layer_keeps_its_charges_and_does_not_apply_them(pristine):
    born = np.array([np.eye(3), -0.5 * np.eye(3), -0.5 * np.eye(3)])
    polar = replace(pristine, response=DielectricResponse(born, 4 * np.eye(3)))
    assert polar.response is not None
    assert polar.applied_response is None
    points, ways = [(0, 0, 0), (0.01, 0, 0)], [(1, 0, 0), (0, 0, 0)]
    found = modes(polar, points, ways).frequencies
    np.testing.assert_array_equal(found, modes(pristine, points).frequencies)


def test_charges_that_are_none_are_refused(salt):
    crystal, _ = salt
    born = crystal.response.born
    with pytest.raises(InputError, match="of 1 atoms do not fit a primitive cell of 2"):
        replace(crystal, response=replace(crystal.response, born=born[:1]))
    with pytest.raises(InputError, match="not positive"):
        DielectricResponse(born, np.diag([2.0, 2.0, -1.0]))
    with pytest.raises(InputError, match="NaN"):
        DielectricResponse(born * np.nan, np.eye(3))
    with pytest.raises(InputError, match="no non-analytical term 'fancy'"):
        DielectricResponse(born, np.eye(3), method="fancy")
    with pytest.raises(InputError, match="shape"):
        DielectricResponse(born, np.eye(2))


@pytest.mark.parametrize("compact", [True, False])
def test_charges_of_a_primitive_cell_that_the_file_does_not_name(salt, tmp_path, compact):
    """phonopy 4 takes the smallest cell where none is named; its files may have charges of that."""
    crystal, made = salt
    file = tmp_path / "phonopy_params.yaml"
    made.save(file, settings={"force_constants": True, "force_sets": False}, compression=False)
    if not compact:
        full = compact_fc_to_full_fc(made.primitive, made.force_constants)
        other = made.replicate()
        other.force_constants, other.nac_params = full, made.nac_params
        other.save(file, settings={"force_constants": True, "force_sets": False})
    text = file.read_text()
    start = text.index("primitive_matrix:")
    file.write_text(text[:start] + text[text.index("supercell_matrix:", start) :])
    found = from_phonopy_yaml(file)
    assert len(found.primitive_atoms) == len(found.response.born) == 2
    for way in ((1, 0, 0), (1, 1, 1)):
        np.testing.assert_allclose(
            gamma_frequencies(found, way), gamma_frequencies(crystal, way), atol=SAME
        )


def test_thermal_draws_of_a_polar_crystal_need_no_charges(salt):
    crystal, _ = salt
    draws = ThermalDraws(kind="salt", temperatures=(300.0,), count=1, seed=3)
    (polar,), (bare,) = (
        draw_thermal(side, draws) for side in (crystal, replace(crystal, response=None))
    )
    np.testing.assert_allclose(polar.atoms.positions, bare.atoms.positions, atol=1e-9)
