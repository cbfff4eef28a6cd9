"""A crystal in the harmonic approximation: a unit cell and its force constants."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.held_symmetry import HeldSymmetry, held_symmetry
from forcebase.physics.periodicity import vacuum_axes
from forcebase.safety.limits import SUPERCELL_ATOMS

if TYPE_CHECKING:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms


KEPT_ATOMS = 500
"""In supercells whose phonopy objects are kept: those of larger ones are large too."""
MOST_TERMS = 100_000
"""Of the sum over reciprocal vectors; each q-point of more takes seconds."""


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
        response: Born charges and dielectric tensor; None where they are not known.
        moments: (n,) or (n, 3) magnetic moments of the unit cell's atoms, muB; they count for
            symmetry alone. None for none.

    Raises:
        InputError: force constants, charges or moments that are not finite or do not fit the
            cells, or a cutoff whose sum has too many terms.
    """

    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    masses: NDArray[np.float64]
    supercell_matrix: NDArray[np.int64]
    primitive_matrix: NDArray[np.float64]
    force_constants: NDArray[np.float64]
    response: DielectricResponse | None = None
    moments: NDArray[np.float64] | None = None

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
        if self.response is not None and len(self.response.born) != expected[0]:
            raise InputError(
                f"Born charges of {len(self.response.born)} atoms do not fit a primitive cell of "
                f"{expected[0]}."
            )
        if self.response is not None and self.response.g_cutoff is not None:
            volume = primitive_size * abs(np.linalg.det(self.cell))
            n_terms = 4 / 3 * np.pi * self.response.g_cutoff**3 * volume
            if n_terms > MOST_TERMS:
                raise InputError(
                    f"With a cutoff of {self.response.g_cutoff:g} 1/angstrom the sum of the "
                    f"non-analytical term has {n_terms:.3g} terms; phonopy's own choice has 300.",
                    hint="Take the cutoff out of the first line of BORN, or a smaller one.",
                )
        if self.moments is not None and np.shape(self.moments) not in ((n,), (n, 3)):
            raise InputError(
                f"Magnetic moments of shape {np.shape(self.moments)} do not fit {n} atoms.",
                hint=f"Give ({n},) or ({n}, 3).",
            )

    @classmethod
    def from_phonopy(cls, phonopy: Phonopy) -> HarmonicCrystal:
        """Take cells, masses and compact force constants over from a phonopy object."""
        unit_cell = phonopy.unitcell
        constants = phonopy.force_constants
        given, moments = phonopy.nac_params, unit_cell.magnetic_moments
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
            response=None if given is None else DielectricResponse.from_phonopy(given),
            moments=None if moments is None else np.array(moments, dtype=float),
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
            self.moments,
        )
        made.force_constants = self.force_constants.copy()
        if (applied := self.applied_response) is not None:
            made.nac_params = applied.to_phonopy()
        return made

    @cached_property
    def is_bulk(self) -> bool:
        """Whether it repeats in three dimensions: no layer, chain or molecule."""
        return not any(vacuum_axes(self.cell, self.positions))

    @property
    def applied_response(self) -> DielectricResponse | None:
        """The response whose non-analytical term its frequencies have.

        None where it is not known, and for layers, chains and molecules: the term is that of a
        field in three dimensions.
        """
        return self.response if self.response is not None and self.is_bulk else None

    @cached_property
    def symmetry(self) -> HeldSymmetry:
        """What of its structure's symmetry its force constants hold to."""
        bare = self if self.applied_response is None else replace(self, response=None)
        return held_symmetry(bare.phonopy)

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
    moments: NDArray[np.float64] | None = None,
) -> Phonopy:
    """Make a phonopy object without force constants; masses None means phonopy's own table.

    Its cells and their symmetry are shared with others of the same crystal, and not to be changed.
    """
    n_cells = abs(np.linalg.det(np.asarray(supercell_matrix, dtype=float)))
    n_atoms = math.ceil(n_cells * len(numbers))
    SUPERCELL_ATOMS.check(n_atoms, "The phonon")
    make = _kept_phonopy if n_atoms <= KEPT_ATOMS else _phonopy
    made = make(
        *(_frozen(array, np.int64) for array in (numbers, supercell_matrix)),
        *(
            _frozen(array, np.float64)
            for array in (cell, positions, masses, primitive_matrix, moments)
        ),
    )
    return copy(made)


Frozen = tuple[tuple[int, ...], bytes] | None
"""Shape and bytes of an array, to be known again."""


def _frozen(array: ArrayLike | None, dtype: type[np.generic]) -> Frozen:
    if array is None:
        return None
    whole = np.asarray(array, dtype=dtype)
    return whole.shape, whole.tobytes()


def _thawed(frozen: Frozen, dtype: type[np.generic] = np.float64) -> Any:
    if frozen is None:
        return None
    shape, content = frozen
    return np.frombuffer(content, dtype=dtype).reshape(shape).copy()


def _phonopy(
    numbers: Frozen,
    supercell_matrix: Frozen,
    cell: Frozen,
    positions: Frozen,
    masses: Frozen,
    primitive_matrix: Frozen,
    moments: Frozen,
) -> Phonopy:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    unit_cell = PhonopyAtoms(
        numbers=_thawed(numbers, np.int64),
        cell=_thawed(cell),
        positions=_thawed(positions),
        masses=_thawed(masses),
        magnetic_moments=_thawed(moments),
    )
    matrix = _thawed(supercell_matrix, np.int64)
    return Phonopy(unit_cell, matrix, primitive_matrix=_thawed(primitive_matrix))


_kept_phonopy = lru_cache(maxsize=8)(_phonopy)
"""The search for a supercell's symmetry takes a second, and one comparison needs it ten times."""


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
