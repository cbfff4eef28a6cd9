"""What phonopy's YAML files hold, and the crystal that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.crystal_setting import guessed_primitive, with_smallest_cell
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.harmonic_crystal import HarmonicCrystal, bare_phonopy, symmetrize
from forcebase.physics.phonopy_units import PhonopyUnits, calculator_of_units
from forcebase.safety.files import read_unpacked
from forcebase.safety.limits import TEXT_BYTES
from forcebase.safety.yaml_text import parse_yaml

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.interface.phonopy_yaml import PhonopyYaml
    from phonopy.structure.atoms import PhonopyAtoms


def from_phonopy_contents(contents: PhonopyYaml) -> HarmonicCrystal:
    """Make a crystal of what a phonopy file holds, or was completed with.

    Displacements of one atom each give force constants by phonopy's own solver; random
    displacements of all atoms by symfc's symmetry-adapted least squares. Magnetic moments of the
    unit cell count for symmetry. Where the file names no primitive cell, it is the smallest that
    structure, moments and force constants repeat by.

    Raises:
        InputError: the stored supercell is not the one that phonopy makes.
    """
    phonopy = phonopy_of(contents)
    if contents.nac_params is not None:
        given = DielectricResponse.from_phonopy(contents.nac_params)
        phonopy.nac_params = given.to_phonopy()  # with the factor, which few files have
    if contents.force_constants is not None:
        phonopy.force_constants = contents.force_constants
        crystal = HarmonicCrystal.from_phonopy(phonopy)
    else:
        phonopy.dataset = contents.dataset
        solver = "symfc" if "displacements" in contents.dataset else None
        phonopy.produce_force_constants(
            calculate_full_force_constants=False, show_drift=False, fc_calculator=solver
        )
        crystal = symmetrize(HarmonicCrystal.from_phonopy(phonopy))
    return crystal if contents.primitive_matrix is not None else with_smallest_cell(crystal)


def phonopy_of(contents: PhonopyYaml) -> Phonopy:
    """Cells of a phonopy file as a phonopy object, without displacements or force constants."""
    unit_cell = contents.unitcell
    phonopy = bare_phonopy(
        unit_cell.numbers,
        unit_cell.cell,
        unit_cell.positions,
        unit_cell.masses,
        contents.supercell_matrix,
        _primitive_matrix(contents),
        unit_cell.magnetic_moments,
    )
    if contents.supercell is not None:
        _check_order(phonopy.supercell, contents.supercell)
    return phonopy


def _primitive_matrix(contents: PhonopyYaml) -> NDArray[np.float64]:
    """The file's; where it names none, that which its force constants and charges fit."""
    if contents.primitive_matrix is not None:
        return np.array(contents.primitive_matrix, dtype=float)
    n = len(contents.unitcell)
    constants, given = contents.force_constants, contents.nac_params
    compact = constants is not None and np.shape(constants)[0] != np.shape(constants)[1]
    rows = [len(constants)] if compact else []
    rows += [len(given["born"])] if given is not None else []
    if all(row == n for row in rows):
        return np.eye(3)
    return guessed_primitive(contents.unitcell)


def has_forces(contents: PhonopyYaml) -> bool:
    """Whether it holds force constants, or displacements with forces."""
    dataset = contents.dataset or {}
    forces = "forces" in dataset or any("forces" in d for d in dataset.get("first_atoms", ()))
    return forces or contents.force_constants is not None


def read_phonopy_contents(path: Path) -> PhonopyYaml:
    """Read cells, displacements and what else a phonopy file has, in eV and angstrom.

    Units are those of its `calculator`, where its unit block is missing too. Files beside it are
    in the same ones: `PhonopyUnits.of(contents.calculator)`.

    Raises:
        InputError: no such file, no phonopy file, or units that phonopy does not know.
    """
    from phonopy.interface.phonopy_yaml import load_phonopy_yaml

    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    try:
        # phonopy's own reader of files takes PyYAML's loader that runs what tags name
        data = _with_calculator(parse_yaml(read_unpacked(path, TEXT_BYTES), path.name))
        contents = load_phonopy_yaml(data)
        contents.configuration = _configuration(data)
        if contents.unitcell is not None:
            moments = contents.unitcell.magnetic_moments
            if moments is not None and not np.any(moments):  # as some interfaces write them
                contents.unitcell.magnetic_moments = None
            _convert(contents, PhonopyUnits.of(contents.calculator))
    except InputError:
        raise
    except Exception as error:  # whatever the YAML and phonopy layers make of foreign text
        reason = " ".join(str(error).split())
        raise InputError(f"{path.name} cannot be read as a phonopy file: {reason}") from error
    if contents.unitcell is None or contents.supercell_matrix is None:
        raise InputError(f"{path.name} has no unit cell with a supercell matrix.")
    return contents


def _with_calculator(data: Any) -> Any:
    """What a file says, with the calculator that its units tell where it names none."""
    if not isinstance(data, dict) or not isinstance(data.get("phonopy"), dict):
        return data
    said = data.get("physical_unit")
    if data["phonopy"].get("calculator") or not isinstance(said, dict):
        return data
    calculator = calculator_of_units(said)
    if calculator in (None, "vasp"):
        return data
    return data | {"phonopy": data["phonopy"] | {"calculator": calculator}}


def _configuration(data: Any) -> dict[str, Any]:
    """What phonopy was asked for when it wrote the file; its loader leaves that out."""
    header = data.get("phonopy") if isinstance(data, dict) else None
    found = header.get("configuration") if isinstance(header, dict) else None
    return dict(found) if isinstance(found, dict) else {}


def _convert(contents: PhonopyYaml, units: PhonopyUnits) -> None:
    for name in ("unitcell", "primitive", "supercell"):
        if (cell := getattr(contents, name)) is not None:
            setattr(contents, name, units.cell(cell))
    if contents.dataset is not None:
        contents.dataset = units.dataset(contents.dataset)
    if contents.force_constants is not None:
        contents.force_constants = np.array(contents.force_constants) * units.force_constants
    if contents.nac_params is not None:
        contents.nac_params = units.response(contents.nac_params)


def _check_order(made: PhonopyAtoms, stored: PhonopyAtoms) -> None:
    shift = made.scaled_positions - stored.scaled_positions
    apart = np.abs((shift - np.round(shift)) @ made.cell).max()
    if len(made) != len(stored) or apart > 1e-3 or (made.numbers != stored.numbers).any():
        raise InputError(
            "The supercell in the file is not the one phonopy makes from its unit cell.",
            hint="Compute its force constants again with this version of phonopy.",
        )
