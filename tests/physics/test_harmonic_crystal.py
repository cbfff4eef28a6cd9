from dataclasses import replace
from pathlib import Path

import numpy as np
import phonopy
import pytest
from small_phonons import from_phonopy_yaml

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import (
    HarmonicCrystal,
    sum_rule_error,
    symmetrize,
    symmetry_error,
)

YAML = Path(__file__).parents[2] / "data" / "wse2_gpaw" / "phonopy_wse2_gpaw_3x3.yaml"


@pytest.fixture(scope="module")
def crystal():
    return from_phonopy_yaml(YAML)


def test_the_dft_phonon_is_read_as_it_is(crystal):
    reference = phonopy.load(YAML)
    np.testing.assert_array_equal(crystal.force_constants, reference.force_constants)
    assert crystal.force_constants.shape == (3, 27, 3, 3)
    assert crystal.primitive_symbols == ["W", "Se", "Se"]
    np.testing.assert_allclose(crystal.masses, [183.84, 78.96, 78.96])
    np.testing.assert_allclose(crystal.primitive_cell, crystal.unit_cell.cell.array)


def test_forces_in_a_file_give_the_force_constants_they_gave_before(crystal, tmp_path):
    source = phonopy.load(YAML)
    settings = {"force_constants": False, "force_sets": True, "displacements": True}
    source.save(tmp_path / "forces.yaml", settings=settings)
    made = from_phonopy_yaml(tmp_path / "forces.yaml")
    expected = symmetrize(crystal).force_constants
    np.testing.assert_allclose(made.force_constants, expected, atol=1e-8)


def test_full_force_constants_are_reduced_to_compact_ones(crystal, tmp_path):
    source = phonopy.load(YAML, is_compact_fc=False)
    source.produce_force_constants(calculate_full_force_constants=True)
    assert source.force_constants.shape == (27, 27, 3, 3)
    source.save(tmp_path / "full.yaml", settings={"force_constants": True})
    made = from_phonopy_yaml(tmp_path / "full.yaml")
    np.testing.assert_allclose(made.force_constants, crystal.force_constants, atol=1e-8)


def test_files_that_lie_about_are_not_read(crystal, tmp_path, monkeypatch):
    for name in ("BORN", "FORCE_SETS", "FORCE_CONSTANTS"):
        (tmp_path / name).write_text("not for us")
    monkeypatch.chdir(tmp_path)
    again = from_phonopy_yaml(YAML)
    np.testing.assert_array_equal(again.force_constants, crystal.force_constants)


@pytest.mark.parametrize("text", ["", "a: [", "phonopy:\n  version: 4\n", "just text"])
def test_what_is_no_phonopy_file_is_refused(text, tmp_path):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(InputError, match=r"odd\.yaml"):
        from_phonopy_yaml(tmp_path / "odd.yaml")


def test_a_missing_file_and_an_unknown_calculator_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        from_phonopy_yaml(tmp_path / "absent.yaml")
    other = YAML.read_text().replace("phonopy:\n", "phonopy:\n  calculator: nonsuch\n", 1)
    (tmp_path / "other.yaml").write_text(other.replace("physical_unit:", "units_of_old:", 1))
    with pytest.raises(InputError, match="no interface to 'nonsuch'"):
        from_phonopy_yaml(tmp_path / "other.yaml")


def test_symmetrize_imposes_both_symmetries_and_changes_nothing_the_second_time(crystal):
    noise = np.random.default_rng(3).normal(0, 0.05, crystal.force_constants.shape)
    noisy = replace(crystal, force_constants=crystal.force_constants + noise)
    assert sum_rule_error(noisy) > 0.05
    assert symmetry_error(noisy) > 0.05
    once = symmetrize(noisy)
    assert sum_rule_error(once) < 1e-12
    assert symmetry_error(once) < 1e-12
    np.testing.assert_allclose(symmetrize(once).force_constants, once.force_constants, atol=1e-12)
    assert sum_rule_error(noisy) > 0.05, "the crystal given must stay as it was"


def test_phonopy_and_back(crystal):
    again = HarmonicCrystal.from_phonopy(crystal.to_phonopy())
    np.testing.assert_array_equal(again.force_constants, crystal.force_constants)
    np.testing.assert_array_equal(again.supercell_matrix, crystal.supercell_matrix)
    np.testing.assert_allclose(again.positions, crystal.positions, atol=1e-12)


def test_force_constants_that_do_not_fit_are_refused(crystal):
    with pytest.raises(InputError, match="do not fit"):
        replace(crystal, force_constants=crystal.force_constants[:, :12])
    with pytest.raises(InputError, match="NaN"):
        replace(crystal, force_constants=crystal.force_constants * np.nan)
