"""phonopy files of every calculator: phonopy's own frequencies, with a unit block and without."""

import re

import numpy as np
import phonopy
import pytest
from ase.build import bulk
from phonopy.interface.calculator import get_force_constant_conversion_factor
from phonopy.physical_units import get_calculator_physical_units
from phonopy.structure.atoms import PhonopyAtoms
from small_phonons import (
    at,
    copper,
    displaced,
    from_phonopy_yaml,
    gamma_frequencies,
    loaded_by_phonopy,
    solved,
    unpacked_case,
)

from forcebase.errors import InputError
from forcebase.physics.phonopy_units import CALCULATORS, PhonopyUnits
from forcebase.physics.vibrations import modes

POINTS = [(0.5, 0, 0), (0.5, 0.5, 0), (0.13, 0.21, 0.37)]


def in_units_of(calculator, made):
    """The same crystal as this calculator's interface of phonopy would hold it."""
    units = get_calculator_physical_units(calculator)
    cell = made.unitcell
    native = phonopy.Phonopy(
        PhonopyAtoms(
            symbols=cell.symbols,
            cell=cell.cell / units.distance_to_A,
            scaled_positions=cell.scaled_positions,
            masses=cell.masses,
        ),
        made.supercell_matrix,
        primitive_matrix=made.primitive_matrix,
        calculator=calculator,
    )
    factor = get_force_constant_conversion_factor("eV/angstrom^2", calculator)
    native.force_constants = made.force_constants * factor
    if made.nac_params is not None:
        kept = {key: made.nac_params[key] for key in ("born", "dielectric")}
        native.nac_params = kept | {"factor": units.nac_factor}
    return native


@pytest.fixture(scope="module")
def salt(tmp_path_factory):
    folder = unpacked_case("ph_nac_params", tmp_path_factory.mktemp("salt"))
    return loaded_by_phonopy(folder / "phonopy_params.yaml", symmetrize_fc=False)


@pytest.mark.parametrize("with_block", [True, False])
@pytest.mark.parametrize("calculator", CALCULATORS)
def test_force_constants_of_every_calculator(salt, tmp_path, calculator, with_block):
    native = in_units_of(calculator, salt)
    file = tmp_path / "phonopy_params.yaml"
    native.save(file, settings={"force_constants": True, "force_sets": False})
    text = file.read_text()
    assert f"calculator: {calculator}" in text
    if not with_block:
        text = re.sub(r"physical_unit:\n(  .*\n)+", "", text)
        file.write_text(text)
    assert ("physical_unit:" in text) is with_block
    crystal = from_phonopy_yaml(file)
    theirs = loaded_by_phonopy(file, symmetrize_fc=False)
    np.testing.assert_allclose(modes(crystal, POINTS).frequencies, at(theirs, POINTS), atol=1e-5)
    way = (1, 1, 0)
    expected = at(theirs, (0, 0, 0), way)[0]
    np.testing.assert_allclose(gamma_frequencies(crystal, way), expected, atol=1e-5)
    np.testing.assert_allclose(crystal.cell, salt.unitcell.cell, rtol=1e-12)


def test_units_without_a_calculator_are_those_of_one_that_has_them(tmp_path):
    native = in_units_of("qe", copper())
    file = tmp_path / "phonopy_params.yaml"
    native.save(file, settings={"force_constants": True})
    file.write_text(file.read_text().replace("  calculator: qe\n", ""))
    expected = at(copper(), POINTS)
    np.testing.assert_allclose(
        modes(from_phonopy_yaml(file), POINTS).frequencies, expected, atol=1e-5
    )
    strange = file.read_text().replace('length: "au"', 'length: "furlong"')
    file.write_text(strange)
    with pytest.raises(InputError, match=r"phonopy_params.yaml cannot be read.*conflicts"):
        from_phonopy_yaml(file)


def test_displacements_and_forces_are_converted(tmp_path):
    made = displaced(
        bulk("Cu", cubic=True), [2, 2, 2], [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    )
    units = PhonopyUnits.of("cp2k")
    native = in_units_of("cp2k", solved(made))
    dataset = made.dataset
    for row in dataset["first_atoms"]:
        row["displacement"] = np.array(row["displacement"]) / units.length
        row["forces"] = row["forces"] / units.force
        row.pop("supercell_energy", None)
    native.dataset = dataset
    file = tmp_path / "phonopy_params.yaml"
    native.save(file, settings={"force_constants": False, "force_sets": True})
    found = modes(from_phonopy_yaml(file), POINTS).frequencies
    np.testing.assert_allclose(found, at(copper(), POINTS), atol=1e-5)


def test_energies_of_displaced_cells_are_converted():
    units = PhonopyUnits.of("abinit")
    found = units.dataset({"displacements": [[[1.0, 0, 0]]], "supercell_energies": [2.0]})
    assert found["displacements"][0][0][0] == pytest.approx(0.529177, rel=1e-5)
    assert found["supercell_energies"][0] == pytest.approx(54.4228, rel=1e-5)
