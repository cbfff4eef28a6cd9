"""Finite displacements: from a unit cell to displaced supercells, from forces to force constants.

The direct method of Parlinski, Li and Kawazoe, PRL 78, 4063 (1997), as phonopy does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal, as_atoms, bare_phonopy
from forcebase.physics.harmonic_crystal import symmetrize as impose_symmetry

if TYPE_CHECKING:
    from phonopy import Phonopy

DEFAULT_DISTANCE = 0.02
"""angstrom; large against the noise of forces, small against anharmonicity."""


@dataclass(frozen=True, eq=False)
class Displacements:
    """The supercells whose forces give the force constants.

    Attributes:
        distance: length of each displacement, angstrom.
        supercell: the undisplaced supercell.
        supercells: displaced copies, as few as symmetry allows; both signs of a
            displacement where symmetry does not make them equal.
        phonopy: the object they come from; not to be changed.
    """

    distance: float
    supercell: Atoms
    supercells: list[Atoms]
    phonopy: Phonopy


def displacements(
    atoms: Atoms,
    supercell_matrix: ArrayLike,
    distance: float = DEFAULT_DISTANCE,
    primitive_matrix: ArrayLike | None = None,
) -> Displacements:
    """Displace the atoms of a supercell of `atoms`, one at a time.

    Args:
        atoms: unit cell, relaxed; its masses count only if set on it (`unit_cell_masses`), and
            its initial magnetic moments count for symmetry.
        supercell_matrix: (3, 3) or (3,) integers, phonopy's convention.
        distance: angstrom.
        primitive_matrix: (3, 3); None means that the unit cell is primitive.

    Raises:
        InputError: a distance that is not positive, a supercell that is none.
    """
    if not distance > 0:
        raise InputError(f"A displacement of {distance} angstrom is not positive.")
    phonopy = bare_phonopy(
        atoms.numbers,
        atoms.cell.array,
        atoms.positions,
        unit_cell_masses(atoms),
        supercell_matrix_of(supercell_matrix),
        np.eye(3) if primitive_matrix is None else np.asarray(primitive_matrix, dtype=float),
        _moments(atoms),
    )
    phonopy.generate_displacements(distance=distance)
    return Displacements(
        distance=distance,
        supercell=as_atoms(phonopy.supercell),
        supercells=[as_atoms(cell) for cell in phonopy.supercells_with_displacements],
        phonopy=phonopy,
    )


def harmonic_crystal(
    displaced: Displacements,
    forces: Sequence[ArrayLike] | NDArray[np.float64],
    residual_forces: ArrayLike | None = None,
    symmetrize: bool = True,
) -> HarmonicCrystal:
    """Solve for the force constants.

    Args:
        displaced: what the forces were computed for.
        forces: (n_displacements, n_supercell, 3), eV/angstrom, in the order of
            `displaced.supercells`.
        residual_forces: (n_supercell, 3) on the undisplaced supercell, eV/angstrom; taken
            off, so that an incomplete relaxation does not enter.
        symmetrize: impose the sum rule and index symmetry.

    Raises:
        InputError: forces of the wrong shape, or not finite.
    """
    expected = (len(displaced.supercells), len(displaced.supercell), 3)
    array = np.asarray(forces, dtype=float)
    _check_forces(array, expected)
    if residual_forces is not None:
        residual = np.asarray(residual_forces, dtype=float)
        _check_forces(residual, expected[1:])
        array = array - residual
    phonopy = displaced.phonopy.replicate()
    phonopy.dataset = deepcopy(displaced.phonopy.dataset)
    phonopy.forces = array
    phonopy.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    crystal = HarmonicCrystal.from_phonopy(phonopy)
    return impose_symmetry(crystal) if symmetrize else crystal


def unit_cell_masses(atoms: Atoms) -> NDArray[np.float64]:
    """(n,) masses in amu: those set on `atoms`, else phonopy's own table.

    ASE's defaults are newer (Se 78.971 against 78.96) and are not taken, so that crystals
    made here and those read from phonopy's files have the same masses.
    """
    from phonopy.structure.atoms import PhonopyAtoms

    if atoms.has("masses"):
        return np.asarray(atoms.get_masses(), dtype=float)
    table = PhonopyAtoms(numbers=atoms.numbers, cell=np.eye(3), scaled_positions=atoms.positions)
    return np.array(table.masses, dtype=float)


def _moments(atoms: Atoms) -> NDArray[np.float64] | None:
    """Initial magnetic moments; None where there are none, or all are zero."""
    if not atoms.has("initial_magmoms"):
        return None
    moments = np.asarray(atoms.get_initial_magnetic_moments(), dtype=float)
    return moments if moments.any() else None


def supercell_matrix_of(matrix: ArrayLike) -> NDArray[np.int64]:
    """Give 3 integers or a 3x3 matrix as (3, 3); InputError where it is not a supercell."""
    array = np.asarray(matrix)
    square = np.diag(array) if array.shape == (3,) else array
    whole = square.shape == (3, 3) and np.array_equal(square, np.round(square))
    if not whole or round(np.linalg.det(square)) < 1:
        raise InputError(
            f"{array.tolist()} is not a supercell matrix.",
            hint="Give 3 integers or a 3x3 matrix of integers with a positive determinant.",
        )
    return square.astype(np.int64)


def _check_forces(forces: NDArray[np.float64], expected: tuple[int, ...]) -> None:
    if forces.shape != expected:
        raise InputError(
            f"Forces of shape {forces.shape} do not fit the displaced supercells.",
            hint=f"Give forces of shape {expected}.",
            shape=forces.shape,
            expected=expected,
        )
    if not np.isfinite(forces).all():
        raise InputError("The forces hold NaN or infinity.")
