"""A crystal in the harmonic approximation: a unit cell and its force constants."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.safety.files import read_unpacked
from forcebase.safety.limits import SUPERCELL_ATOMS, TEXT_BYTES
from forcebase.safety.yaml_text import parse_yaml

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.interface.phonopy_yaml import PhonopyYaml
    from phonopy.structure.atoms import PhonopyAtoms


@dataclass(frozen=True, eq=False)
class HarmonicCrystal:
    """Unit cell, supercell and force constants: all that harmonic vibrations follow from.

    The order of the supercell's atoms is the one phonopy makes from the unit cell and
    `supercell_matrix`. Masses are part of the crystal, for phonopy's table (Se 78.96) and
    ASE's (Se 78.971) differ: two sides of a comparison need the same ones.

    Attributes:
        numbers: (n,) atomic numbers of the unit cell.
        cell: (3, 3) lattice vectors as rows, angstrom.
        positions: (n, 3) Cartesian, angstrom.
        masses: (n,) amu.
        supercell_matrix: (3, 3) integers; supercell lattice = matrix.T @ cell, as in phonopy.
        primitive_matrix: (3, 3); primitive lattice = matrix.T @ cell.
        force_constants: (n_primitive, n_supercell, 3, 3), eV/angstrom^2: the second
            derivative of the energy, so minus the force per displacement.

    Raises:
        InputError: force constants that are not finite or do not fit the cells.
    """

    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    masses: NDArray[np.float64]
    supercell_matrix: NDArray[np.int64]
    primitive_matrix: NDArray[np.float64]
    force_constants: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.numbers)
        supercell_size = abs(np.linalg.det(self.supercell_matrix))
        primitive_size = abs(np.linalg.det(self.primitive_matrix))
        expected = (round(n * primitive_size), round(n * supercell_size), 3, 3)
        if self.force_constants.shape != expected:
            raise InputError(
                f"Force constants of shape {self.force_constants.shape} do not fit the cells, "
                f"which need {expected}.",
                hint="Give compact force constants: (n_primitive, n_supercell, 3, 3).",
                shape=self.force_constants.shape,
                expected=expected,
            )
        if not np.isfinite(self.force_constants).all():
            raise InputError("The force constants hold NaN or infinity.")

    @classmethod
    def from_phonopy(cls, phonopy: Phonopy) -> HarmonicCrystal:
        """Take cells, masses and compact force constants over from a phonopy object."""
        unit_cell = phonopy.unitcell
        constants = phonopy.force_constants
        if len(constants) == len(phonopy.supercell) != len(phonopy.primitive):
            constants = constants[phonopy.primitive.p2s_map]
        return cls(
            numbers=np.array(unit_cell.numbers, dtype=np.int64),
            cell=np.array(unit_cell.cell, dtype=float),
            positions=np.array(unit_cell.positions, dtype=float),
            masses=np.array(unit_cell.masses, dtype=float),
            supercell_matrix=np.array(phonopy.supercell_matrix, dtype=np.int64),
            primitive_matrix=np.array(phonopy.primitive_matrix, dtype=float),
            force_constants=np.array(constants, dtype=float),
        )

    @cached_property
    def phonopy(self) -> Phonopy:
        """The same crystal as a phonopy object (made once; not to be changed)."""
        return self.to_phonopy()

    def to_phonopy(self) -> Phonopy:
        """Make a fresh phonopy object with these force constants."""
        made = bare_phonopy(
            self.numbers,
            self.cell,
            self.positions,
            self.masses,
            self.supercell_matrix,
            self.primitive_matrix,
        )
        made.force_constants = self.force_constants.copy()
        return made

    @property
    def primitive_cell(self) -> NDArray[np.float64]:
        """(3, 3) lattice vectors of the primitive cell as rows, angstrom."""
        return self.primitive_matrix.T @ self.cell

    @property
    def primitive_symbols(self) -> list[str]:
        """Element of each atom of the primitive cell."""
        return list(self.phonopy.primitive.symbols)

    @cached_property
    def primitive_atoms(self) -> Atoms:
        """The primitive cell with its masses; the sites that eigenvectors run over."""
        return as_atoms(self.phonopy.primitive)

    @cached_property
    def supercell_atoms(self) -> Atoms:
        """The supercell, its atoms in phonopy's order."""
        return as_atoms(self.phonopy.supercell)

    @property
    def unit_cell(self) -> Atoms:
        """The unit cell with its masses."""
        return Atoms(
            numbers=self.numbers,
            cell=self.cell,
            positions=self.positions,
            masses=self.masses,
            pbc=True,
        )


def as_atoms(cell: PhonopyAtoms) -> Atoms:
    """Give phonopy's cell as ASE Atoms with its masses."""
    return Atoms(
        numbers=cell.numbers, cell=cell.cell, positions=cell.positions, masses=cell.masses, pbc=True
    )


def bare_phonopy(
    numbers: NDArray[np.int64],
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
    masses: NDArray[np.float64] | None,
    supercell_matrix: NDArray[np.int64],
    primitive_matrix: NDArray[np.float64],
) -> Phonopy:
    """Make a phonopy object without force constants; masses None means phonopy's own table."""
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    n_cells = abs(np.linalg.det(np.asarray(supercell_matrix, dtype=float)))
    SUPERCELL_ATOMS.check(math.ceil(n_cells * len(numbers)), "The phonon")
    unit_cell = PhonopyAtoms(numbers=numbers, cell=cell, positions=positions, masses=masses)
    return Phonopy(unit_cell, supercell_matrix, primitive_matrix=primitive_matrix)


def sum_rule_error(crystal: HarmonicCrystal) -> float:
    """Largest net force on an atom under a rigid shift, eV/angstrom^2; 0 by theory."""
    return float(np.abs(crystal.force_constants.sum(axis=1)).max())


def symmetry_error(crystal: HarmonicCrystal) -> float:
    """Largest violation of phi(i a, j b) = phi(j b, i a), eV/angstrom^2; 0 by theory."""
    from phonopy.harmonic.force_constants import compact_fc_to_full_fc

    full = compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants)
    return float(np.abs(full - full.transpose(1, 0, 3, 2)).max())


def symmetrize(crystal: HarmonicCrystal) -> HarmonicCrystal:
    """Impose the acoustic sum rule and index symmetry, both to rounding (phonopy's averages)."""
    phonopy = crystal.to_phonopy()
    phonopy.symmetrize_force_constants(show_drift=False)
    return replace(crystal, force_constants=np.array(phonopy.force_constants, dtype=float))


def from_phonopy_yaml(path: str | PathLike[str]) -> HarmonicCrystal:
    """Read a phonopy file with force constants, or with displacements and forces.

    Force constants are taken as they are; those made here from forces are symmetrized.
    Only `path` is read: phonopy's own loader would also take FORCE_SETS, FORCE_CONSTANTS
    and BORN from the working directory. Masses are the file's, else phonopy's own table.

    Raises:
        InputError: no such file, no phonopy file, other units than eV and angstrom, or
            neither forces nor force constants in it.
    """
    return from_phonopy_contents(_complete(read_phonopy_contents(Path(path)), Path(path)))


def from_phonopy_contents(contents: PhonopyYaml) -> HarmonicCrystal:
    """Make a crystal of what a phonopy file holds, or was completed with.

    Displacements of one atom each give force constants by phonopy's own solver; random
    displacements of all atoms by symfc's symmetry-adapted least squares.

    Raises:
        InputError: the stored supercell is not the one that phonopy makes.
    """
    phonopy = phonopy_of(contents)
    if contents.force_constants is not None:
        phonopy.force_constants = contents.force_constants
        return HarmonicCrystal.from_phonopy(phonopy)
    phonopy.dataset = contents.dataset
    solver = "symfc" if "displacements" in contents.dataset else None
    phonopy.produce_force_constants(
        calculate_full_force_constants=False, show_drift=False, fc_calculator=solver
    )
    return symmetrize(HarmonicCrystal.from_phonopy(phonopy))


def phonopy_of(contents: PhonopyYaml) -> Phonopy:
    """Cells of a phonopy file as a phonopy object, without displacements or force constants."""
    unit_cell = contents.unitcell
    phonopy = bare_phonopy(
        unit_cell.numbers,
        unit_cell.cell,
        unit_cell.positions,
        unit_cell.masses,
        contents.supercell_matrix,
        np.eye(3) if contents.primitive_matrix is None else contents.primitive_matrix,
    )
    if contents.supercell is not None:
        _check_order(phonopy.supercell, contents.supercell)
    return phonopy


def has_forces(contents: PhonopyYaml) -> bool:
    """Whether it holds force constants, or displacements with forces."""
    dataset = contents.dataset or {}
    forces = "forces" in dataset or any("forces" in d for d in dataset.get("first_atoms", ()))
    return forces or contents.force_constants is not None


def _complete(contents: PhonopyYaml, path: Path) -> PhonopyYaml:
    if not has_forces(contents):
        raise InputError(
            f"{path.name} has neither forces nor force constants.",
            hint='Save it with `phonopy.save(settings={"force_constants": True})`.',
        )
    return contents


def read_phonopy_contents(path: Path) -> PhonopyYaml:
    """Read cells, displacements and what else a phonopy file has.

    Raises:
        InputError: no such file, no phonopy file, or other units than eV and angstrom.
    """
    from phonopy.interface.phonopy_yaml import load_phonopy_yaml

    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    try:
        # phonopy's own reader of files takes PyYAML's loader that runs what tags name
        contents = load_phonopy_yaml(parse_yaml(read_unpacked(path, TEXT_BYTES), path.name))
    except InputError:
        raise
    except Exception as error:  # whatever the YAML and phonopy layers make of foreign text
        raise InputError(f"{path.name} cannot be read as a phonopy file: {error}") from error
    if contents.unitcell is None or contents.supercell_matrix is None:
        raise InputError(f"{path.name} has no unit cell with a supercell matrix.")
    units = contents.physical_units
    if units and (units.distance_to_A, units.force_to_eVperA) != (1.0, 1.0):
        raise InputError(
            f"{path.name} is in units of {contents.calculator}, not eV and angstrom.",
            hint="Save it from phonopy without a calculator interface, forces in eV/angstrom.",
        )
    return contents


def _check_order(made: PhonopyAtoms, stored: PhonopyAtoms) -> None:
    shift = made.scaled_positions - stored.scaled_positions
    apart = np.abs((shift - np.round(shift)) @ made.cell).max()
    if len(made) != len(stored) or apart > 1e-3 or (made.numbers != stored.numbers).any():
        raise InputError(
            "The supercell in the file is not the one phonopy makes from its unit cell.",
            hint="Compute its force constants again with this version of phonopy.",
        )
