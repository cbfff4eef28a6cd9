"""One structure in two settings: which lattice vector, atom and direction is which.

Two relaxations of one crystal differ by a small strain and small shifts of the atoms, and, where
they were set up by other hands, by the orientation, the choice of lattice vectors, the origin and
the order of the atoms. Found is the mapping of one to the other; the search over lattices and
origins is pymatgen's StructureMatcher.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.periodicity import vacuum_axes
from forcebase.physics.shells import heights

Array = NDArray[np.float64]

MAX_STRAIN = 0.08
"""Largest stretch, over or under 1, between two relaxations of one crystal."""

MAX_SHIFT = 0.5
"""angstrom; how far an atom of one may be from its place in the other, less than half a bond."""

MAX_ANGLE = 5.0
"""degrees, between the angles of two relaxations of one cell."""

SAME_DIRECTION = 1e-6
"""Directions that differ by less are the same."""


@dataclass(frozen=True, eq=False)
class StructureMatch:
    """How to see one structure in the setting of another.

    Attributes:
        lattice: (3, 3) integers of determinant 1 or -1: `lattice @ cell` are the lattice vectors
            that correspond to the other's.
        rotation: (3, 3) orthogonal, with a mirror where the determinant is -1; a vector v of the
            structure is `v @ rotation` there.
        order: (n,) for each atom of the other, the one that corresponds to it.
        translations: (n, 3) integers, in the order of the other's atoms: lattice vectors of the
            new cell that bring each atom next to the other's, but for one rigid shift.
        strain: largest |stretch - 1| between the two lattices.
        shift: angstrom, largest distance between corresponding atoms, without strain and rigid
            shift.
    """

    lattice: NDArray[np.int64]
    rotation: Array
    order: NDArray[np.int64]
    translations: NDArray[np.int64]
    strain: float
    shift: float

    @property
    def is_identity(self) -> bool:
        """Whether both are in one setting already."""
        return (
            np.array_equal(self.lattice, np.eye(3))
            and np.array_equal(self.order, np.arange(len(self.order)))
            and not self.translations.any()
            and bool(np.abs(self.rotation - np.eye(3)).max() < SAME_DIRECTION)
        )


def match_structures(structure: Atoms, other: Atoms) -> StructureMatch:
    """Find the mapping of `structure` to `other`, two primitive cells of one crystal.

    Vacuum may be thicker or thinner. Where the two are in one setting, that mapping is taken
    before others that symmetry makes equal.

    Raises:
        InputError: another composition, or no mapping within `MAX_STRAIN` and `MAX_SHIFT`.
    """
    names = [atoms.get_chemical_formula() for atoms in (structure, other)]
    if names[0] != names[1]:
        raise InputError(
            f"A primitive cell of {names[0]} does not correspond to one of {names[1]}.",
            hint="Compare phonons of one composition with the same primitive cell.",
        )
    flat = _with_vacuum(structure, other)
    flat_other = _with_vacuum(other, other)
    for lattice, order in _candidates(flat, flat_other):
        found = _match(flat, flat_other, lattice, order)
        if found.strain <= MAX_STRAIN and found.shift <= MAX_SHIFT:
            return replace(found, translations=_translations(structure, other, found))
    raise InputError(
        f"The two cells of {names[0]} are not one structure: no mapping of lattice vectors and "
        f"atoms leaves less than {100 * MAX_STRAIN:g} % of strain and {MAX_SHIFT:g} angstrom "
        "between atoms.",
        hint="Compare phonons of the same phase, relaxed from the same structure.",
        lengths_and_angles=[atoms.cell.cellpar().round(3).tolist() for atoms in (structure, other)],
    )


def _with_vacuum(atoms: Atoms, other: Atoms) -> Atoms:
    """The atoms in a cell with the other's lengths across vacuum, the layer in its middle."""
    cell = atoms.cell.array.copy()
    fractional = _fractional(atoms)
    ours = np.flatnonzero(vacuum_axes(cell, atoms.positions))
    theirs = np.flatnonzero(vacuum_axes(other.cell.array, other.positions))
    if len(ours) == len(theirs):
        lengths = np.sort(other.cell.lengths()[theirs])
        for axis, length in zip(ours[np.argsort(atoms.cell.lengths()[ours])], lengths, strict=True):
            cell[axis] *= length / np.linalg.norm(cell[axis])
            spacing = 1 / np.linalg.norm(np.linalg.inv(cell)[:, axis])
            fractional[:, axis] = 0.5 + heights(atoms, int(axis)) / spacing
    return Atoms(atoms.numbers, cell=cell, scaled_positions=fractional, pbc=True)


def _candidates(atoms: Atoms, other: Atoms) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """(lattice, order): the two as they are, then the best that pymatgen finds."""
    if np.array_equal(atoms.numbers, other.numbers):
        yield np.eye(3), np.arange(len(atoms))
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    # The tolerance of sites is relative to the cube root of the volume per atom.
    site_tolerance = MAX_SHIFT / (atoms.get_volume() / len(atoms)) ** (1 / 3)
    matcher = StructureMatcher(
        ltol=MAX_STRAIN,
        stol=site_tolerance,
        angle_tol=MAX_ANGLE,
        primitive_cell=False,
        scale=False,
    )
    theirs, ours = (AseAtomsAdaptor.get_structure(side) for side in (other, atoms))
    found = matcher.get_transformation(theirs, ours)
    if found is not None:
        yield np.round(found[0]), np.array(found[2], dtype=np.int64)


def _match(atoms: Atoms, other: Atoms, lattice: Array, order: NDArray[np.int64]) -> StructureMatch:
    from scipy.linalg import polar

    cell = lattice @ atoms.cell.array
    rotation, stretch = polar(np.linalg.solve(cell, other.cell.array))
    moves = np.linalg.solve(cell.T, atoms.positions[order].T).T - _fractional(other)
    moves -= moves[0]
    moves -= np.round(moves)
    moves -= moves.mean(axis=0)
    return StructureMatch(
        lattice=lattice.astype(np.int64),
        rotation=rotation,
        order=order,
        translations=np.zeros((len(order), 3), dtype=np.int64),
        strain=float(np.abs(np.linalg.eigvalsh(stretch) - 1).max()),
        shift=float(np.linalg.norm(moves @ other.cell.array, axis=1).max()),
    )


def _translations(atoms: Atoms, other: Atoms, match: StructureMatch) -> NDArray[np.int64]:
    cell = match.lattice @ atoms.cell.array
    moves = np.linalg.solve(cell.T, atoms.positions[match.order].T).T - _fractional(other)
    return -np.round(moves - moves[0]).astype(np.int64)


def _fractional(atoms: Atoms) -> Array:
    return np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
