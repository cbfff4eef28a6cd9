"""One harmonic crystal in the setting of another, so that q-points and atoms correspond.

Nothing is computed anew: lattice vectors are combined, atoms reordered, force constants rotated.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.harmonic_crystal import HarmonicCrystal, bare_phonopy
from forcebase.physics.held_symmetry import TOLERANCE as HELD
from forcebase.physics.structure_matching import StructureMatch, match_structures

if TYPE_CHECKING:
    from phonopy.structure.atoms import PhonopyAtoms

Array = NDArray[np.float64]

IS_INTEGER = 1e-6

SAME_PLACE = 1e-3
"""angstrom, between an atom of the supercell and where it was before."""


def in_one_setting(
    crystal: HarmonicCrystal, other: HarmonicCrystal
) -> tuple[HarmonicCrystal, HarmonicCrystal]:
    """Give both in the setting of `other`, each with its primitive cell as unit cell.

    Where the primitive cells that the two were given have unlike numbers of atoms, the smallest
    that symmetry knows are taken.

    Raises:
        InputError: the two are not of one structure.
    """
    if len(crystal.primitive_atoms) != len(other.primitive_atoms):
        crystal, other = with_smallest_cell(crystal), with_smallest_cell(other)
    primitive = in_primitive_setting(other)
    return in_setting_of(crystal, primitive), primitive


def with_smallest_cell(crystal: HarmonicCrystal) -> HarmonicCrystal:
    """Give the crystal with the smallest cell that repeats, as spglib finds it, as its primitive.

    A cubic cell whose phonon was computed without a primitive matrix is an example. Magnetic
    moments and force constants have to repeat by it too. The crystal given is returned where
    there is no smaller one.
    """
    from phonopy.harmonic.force_constants import compact_fc_to_full_fc

    smallest = guessed_primitive(crystal.phonopy.unitcell)
    if abs(np.linalg.det(smallest)) > abs(np.linalg.det(crystal.primitive_matrix)) - IS_INTEGER:
        return crystal
    bare = bare_phonopy(
        crystal.numbers,
        crystal.cell,
        crystal.positions,
        crystal.masses,
        crystal.supercell_matrix,
        smallest,
        crystal.moments,
    )
    full = compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants)
    compact = full[bare.primitive.p2s_map]
    repeated = compact_fc_to_full_fc(bare.primitive, compact)
    if np.abs(repeated - full).max() > HELD * np.abs(full).max():
        return crystal
    before = crystal.phonopy.primitive
    atoms = [before.p2p_map[before.s2p_map[i]] for i in bare.primitive.p2s_map]
    return replace(
        crystal,
        primitive_matrix=smallest,
        force_constants=compact,
        response=None if crystal.response is None else crystal.response.of_atoms(atoms),
    )


def guessed_primitive(unit_cell: PhonopyAtoms) -> Array:
    """(3, 3) matrix of the smallest cell that a structure with its moments repeats by."""
    from phonopy.structure.cells import guess_primitive_matrix

    with warnings.catch_warnings():  # that moments repeat by a larger cell is what is asked
        warnings.simplefilter("ignore", UserWarning)
        return np.array(guess_primitive_matrix(unit_cell), dtype=float)


def in_setting_of(crystal: HarmonicCrystal, other: HarmonicCrystal) -> HarmonicCrystal:
    """Give `crystal` with the lattice vectors, orientation and order of atoms of `other`.

    Args:
        crystal: any unit cell, supercell and origin.
        other: one whose unit cell is primitive, as `in_primitive_setting` makes it.

    Returns:
        The same crystal with its own lattice constants and supercell; where the two are in one
        setting already, the one given.

    Raises:
        InputError: the two are not of one structure.
    """
    match = match_structures(_primitive_cell(crystal), _primitive_cell(other))
    if match.is_identity and is_primitive(crystal):
        return crystal
    return _reexpressed(crystal, match, _supercell_rows(other))


def in_primitive_setting(crystal: HarmonicCrystal) -> HarmonicCrystal:
    """Give the crystal with its primitive cell as unit cell; the one given where it is so."""
    if is_primitive(crystal):
        return crystal
    n = len(crystal.primitive_atoms)
    as_it_is = StructureMatch(
        lattice=np.eye(3, dtype=np.int64),
        rotation=np.eye(3),
        order=np.arange(n),
        translations=np.zeros((n, 3), dtype=np.int64),
        strain=0.0,
        shift=0.0,
    )
    return _reexpressed(crystal, as_it_is, _supercell_rows(crystal))


def is_primitive(crystal: HarmonicCrystal) -> bool:
    """Whether the unit cell is the primitive cell, in its setting."""
    return bool(np.abs(crystal.primitive_matrix - np.eye(3)).max() < IS_INTEGER)


def same_supercell(crystal: HarmonicCrystal, other: HarmonicCrystal) -> bool:
    """Whether the supercells of two crystals in one setting repeat by the same lattice."""
    return _same_lattice(_supercell_rows(crystal), _supercell_rows(other))


def _primitive_cell(crystal: HarmonicCrystal) -> Atoms:
    """As it is stored, for phonopy moves atoms by lattice vectors."""
    return crystal.unit_cell if is_primitive(crystal) else crystal.primitive_atoms


def _supercell_rows(crystal: HarmonicCrystal) -> Array:
    """(3, 3) lattice vectors of the supercell in terms of the primitive ones, as rows."""
    rows = np.linalg.solve(crystal.primitive_matrix, crystal.supercell_matrix).T
    return np.round(rows)


def _same_lattice(rows: Array, others: Array) -> bool:
    ratio = np.linalg.solve(others.T, rows.T).T
    return bool(
        np.abs(ratio - np.round(ratio)).max() < IS_INTEGER
        and abs(abs(np.linalg.det(ratio)) - 1) < IS_INTEGER
    )


def _reexpressed(
    crystal: HarmonicCrystal, match: StructureMatch, preferred: Array
) -> HarmonicCrystal:
    atoms = _primitive_cell(crystal)
    cell = match.lattice @ crystal.primitive_cell @ match.rotation
    rows = np.round(np.linalg.solve(match.lattice.T, _supercell_rows(crystal).T).T)
    if _same_lattice(rows, preferred):
        rows = preferred
    rows = rows * np.sign(np.linalg.det(rows))
    positions = atoms.positions[match.order] @ match.rotation + match.translations @ cell
    made = replace(
        crystal,
        numbers=atoms.numbers[match.order].astype(np.int64),
        cell=cell,
        positions=positions,
        masses=atoms.get_masses()[match.order],
        supercell_matrix=rows.T.astype(np.int64),
        primitive_matrix=np.eye(3),
        force_constants=np.zeros((len(atoms), len(crystal.supercell_atoms), 3, 3)),
        response=_moved_response(crystal, match),
        moments=_moved_moments(crystal, match),
    )
    return replace(made, force_constants=_moved_constants(crystal, made, match))


def _moved_response(crystal: HarmonicCrystal, match: StructureMatch) -> DielectricResponse | None:
    if crystal.response is None:
        return None
    return crystal.response.of_atoms(match.order).turned(match.rotation)


def _moved_moments(crystal: HarmonicCrystal, match: StructureMatch) -> Array | None:
    """Of the primitive atoms in the new order; vectors turn as axial ones do."""
    if crystal.moments is None:
        return None
    moments = np.array(crystal.phonopy.primitive.magnetic_moments, dtype=float)[match.order]
    if moments.ndim == 1:
        return moments
    return moments @ match.rotation * np.sign(np.linalg.det(match.rotation))


def _moved_constants(
    crystal: HarmonicCrystal, made: HarmonicCrystal, match: StructureMatch
) -> Array:
    """(n_primitive, n_supercell, 3, 3) in the new order and orientation."""
    from scipy.spatial import cKDTree

    lattice = crystal.supercell_atoms.cell.array
    places = crystal.supercell_atoms.positions
    tree = cKDTree(_wrapped(places, lattice), boxsize=1.0)
    bare = bare_phonopy(
        made.numbers,
        made.cell,
        made.positions,
        made.masses,
        made.supercell_matrix,
        made.primitive_matrix,
        made.moments,
    )
    new_places, first = bare.supercell.positions, bare.primitive.p2s_map
    old_first = crystal.phonopy.primitive.p2s_map
    turn = match.rotation
    moved = np.empty_like(made.force_constants)
    for i, old in enumerate(match.order):
        targets = places[old_first[old]] + (new_places - new_places[first[i]]) @ turn.T
        apart, index = tree.query(_wrapped(targets, lattice))
        if apart.max() * np.linalg.norm(lattice, axis=1).max() > SAME_PLACE:
            raise InputError(
                "The supercell's atoms do not lie on repeats of the primitive cell's.",
                hint="Compute the phonon again from its unit cell.",
                apart=float(apart.max()),
            )
        moved[i] = turn.T @ crystal.force_constants[old, index] @ turn
    return moved


def _wrapped(positions: Array, lattice: Array) -> Array:
    """Fractional, from 0 up to and without 1."""
    fractional = np.asarray(np.linalg.solve(lattice.T, positions.T).T, dtype=np.float64)
    return fractional % 1.0 % 1.0
