"""One crystal in two settings: rotated, reordered, shifted, strained, other lattice vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, mx2
from scipy.spatial.transform import Rotation
from small_phonons import gamma_frequencies

from forcebase.errors import InputError
from forcebase.physics.crystal_setting import (
    in_primitive_setting,
    in_setting_of,
    is_primitive,
    same_supercell,
)
from forcebase.physics.harmonic_crystal import HarmonicCrystal, bare_phonopy
from forcebase.physics.mode_matching import match_modes
from forcebase.physics.structure_matching import match_structures
from forcebase.physics.vibrations import modes

TURNED = Rotation.from_euler("xyz", [30, 40, 50], degrees=True).as_matrix()
MIRRORED = TURNED @ np.diag([1.0, 1.0, -1.0])
Q_POINTS = np.random.default_rng(3).random((5, 3))
SETTINGS = {
    "rotated": (np.eye(3), TURNED, [0, 1, 2]),
    "reordered": (np.eye(3), np.eye(3), [2, 0, 1]),
    "60 degrees": ([[1, 0, 0], [1, 1, 0], [0, 0, 1]], TURNED, [1, 0, 2]),
    "axes permuted": ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], TURNED, [2, 1, 0]),
    "mirrored": ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], MIRRORED, [1, 2, 0]),
}


def elsewhere(crystal, lattice, rotation, order, strain=0.0, cells=np.zeros((1, 3))):
    """The same crystal set up by other hands: phonopy is asked for its force constants anew."""
    lattice = np.array(lattice, dtype=float)
    stretch = np.diag([1 + strain, 1 + strain, 1.0])
    shift = np.array([0.7, -1.9, 2.3])
    cell = lattice @ crystal.cell @ stretch @ rotation
    positions = (crystal.positions[order] @ stretch + shift) @ rotation + cells @ cell
    rows = crystal.supercell_matrix.T @ np.linalg.inv(lattice)
    rows *= np.sign(np.linalg.det(rows))
    matrix = np.round(rows).T.astype(int)
    bare = bare_phonopy(
        crystal.numbers[order], cell, positions, crystal.masses[order], matrix, np.eye(3)
    )
    return HarmonicCrystal(
        crystal.numbers[order],
        cell,
        positions,
        crystal.masses[order],
        matrix,
        np.eye(3),
        _constants(crystal, bare, rotation, stretch, order),
    )


def _constants(crystal, bare, rotation, stretch, order):
    """By brute force over all pairs: which vector between atoms is which."""
    back = rotation.T @ np.linalg.inv(stretch)
    lattice = crystal.supercell_atoms.cell.array
    places, first = crystal.supercell_atoms.positions, crystal.phonopy.primitive.p2s_map
    made = np.empty_like(crystal.force_constants)
    for i, start in enumerate(bare.primitive.p2s_map):
        for j in range(len(bare.supercell)):
            vector = (bare.supercell.positions[j] - bare.supercell.positions[start]) @ back
            apart = np.linalg.solve(lattice.T, (places[first[order[i]]] + vector - places).T).T
            site = int(np.linalg.norm(apart - np.round(apart), axis=1).argmin())
            made[i, j] = rotation.T @ crystal.force_constants[order[i], site] @ rotation
    return made


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_crystal_in_another_setting_is_the_same_crystal(pristine, name):
    lattice, rotation, order = SETTINGS[name]
    other = elsewhere(pristine, lattice, rotation, order)
    found = in_setting_of(other, pristine)
    np.testing.assert_allclose(found.cell, pristine.cell, atol=1e-9)
    np.testing.assert_array_equal(found.numbers, pristine.numbers)
    np.testing.assert_array_equal(found.supercell_matrix, pristine.supercell_matrix)
    np.testing.assert_allclose(found.force_constants, pristine.force_constants, atol=1e-9)
    ours, theirs = modes(found, Q_POINTS), modes(pristine, Q_POINTS)
    matched = match_modes(
        (ours.frequencies, theirs.frequencies), (ours.eigenvectors, theirs.eigenvectors)
    )
    assert np.abs(matched.errors).max() < 1e-8
    assert matched.overlaps.min() > 1 - 1e-8


def test_other_lattice_constants_are_kept_and_matched(pristine):
    lattice, rotation, order = SETTINGS["60 degrees"]
    other = elsewhere(pristine, lattice, rotation, order, strain=0.01)
    match = match_structures(other.unit_cell, pristine.unit_cell)
    assert match.strain == pytest.approx(0.01, rel=0.02)
    assert match.shift < 1e-6
    found = in_setting_of(other, pristine)
    assert found.unit_cell.cell.lengths()[0] == pytest.approx(
        1.01 * pristine.unit_cell.cell.lengths()[0]
    )
    np.testing.assert_allclose(found.force_constants, pristine.force_constants, atol=1e-9)


def test_a_crystal_in_the_setting_already_is_not_touched(pristine):
    relaxed = replace(pristine, cell=pristine.cell * 1.004, positions=pristine.positions * 1.004)
    assert in_setting_of(relaxed, pristine) is relaxed
    assert in_primitive_setting(pristine) is pristine


def test_atoms_stored_a_lattice_vector_away_are_the_same_crystal(pristine):
    cells = np.array([[0, 0, 0], [1, 0, 0], [0, -1, 1]])
    other = elsewhere(pristine, np.eye(3), np.eye(3), [0, 1, 2], cells=cells)
    found = in_setting_of(other, pristine)
    shift = found.positions - pristine.positions
    np.testing.assert_allclose(shift, np.tile(shift[0], (3, 1)), atol=1e-9)
    np.testing.assert_allclose(found.force_constants, pristine.force_constants, atol=1e-9)


def test_a_layer_with_thicker_vacuum_across_the_border_is_the_same_layer(pristine):
    cell = pristine.cell.copy()
    cell[2] *= 1.4
    middle = pristine.positions[:, 2].mean()
    positions = pristine.positions - [0, 0, middle]
    other = replace(pristine, cell=cell, positions=positions % [np.inf, np.inf, cell[2, 2]])
    found = in_setting_of(other, pristine)
    assert found.cell[2, 2] == pytest.approx(1.4 * pristine.cell[2, 2])
    np.testing.assert_allclose(found.force_constants, pristine.force_constants, atol=1e-9)


def test_a_relaxed_vacancy_that_is_turned_and_reordered(vacancy):
    order = np.random.default_rng(0).permutation(len(vacancy.numbers))
    other = elsewhere(vacancy, np.eye(3), TURNED, order)
    found = in_setting_of(other, vacancy)
    squares = gamma_frequencies(vacancy) ** 2
    np.testing.assert_allclose(gamma_frequencies(found) ** 2, squares, atol=1e-8)
    ours, theirs = modes(found, Q_POINTS), modes(vacancy, Q_POINTS)
    matched = match_modes(
        (ours.frequencies, theirs.frequencies), (ours.eigenvectors, theirs.eigenvectors)
    )
    assert np.abs(matched.errors).max() < 1e-8
    assert matched.overlaps.min() > 1 - 1e-8


def test_a_rectangular_unit_cell_is_brought_to_its_primitive_one(pristine):
    """Two formula units in a cell of a and a + 2 b; the sites of a 6x6 supercell on springs."""
    rows = np.array([[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    repeated = pristine.unit_cell.repeat((2, 2, 1))
    places = np.linalg.solve((rows @ pristine.cell).T, repeated.positions.T).T
    _, first = np.unique(np.round(places % 1.0, 6) % 1.0, axis=0, return_index=True)
    bare = bare_phonopy(
        repeated.numbers[first],
        rows @ pristine.cell,
        repeated.positions[first],
        None,
        np.round(np.linalg.inv(rows).T @ np.diag([6, 6, 1])).astype(int),
        np.linalg.inv(rows).T,
    )
    bare.force_constants = np.zeros((3, len(bare.supercell), 3, 3))
    for i, site in enumerate(bare.primitive.p2s_map):
        bare.force_constants[i, site] = np.diag([1.0, 2.0, 3.0 + i])
    crystal = HarmonicCrystal.from_phonopy(bare)
    assert not is_primitive(crystal)
    found = in_primitive_setting(crystal)
    assert (len(found.numbers), is_primitive(found)) == (3, True)
    ours = modes(in_setting_of(found, pristine), Q_POINTS).frequencies
    np.testing.assert_allclose(ours, modes(crystal, Q_POINTS).frequencies, atol=1e-8)


def test_supercells_are_compared_by_their_lattice(pristine):
    skewed = replace(pristine, supercell_matrix=np.array([[3, 3, 0], [0, 3, 0], [0, 0, 1]]))
    long = replace(pristine, supercell_matrix=np.diag([1, 9, 1]))
    assert same_supercell(skewed, pristine)
    assert not same_supercell(long, pristine)


def test_what_is_another_structure_is_refused(wse2):
    with pytest.raises(InputError, match="MoS2 does not correspond to one of"):
        match_structures(mx2("MoS2", vacuum=8), wse2)
    other_phase = mx2("WSe2", kind="1T", a=3.31, thickness=3.34, vacuum=6.3)
    with pytest.raises(InputError, match="not one structure"):
        match_structures(other_phase, wse2)
    with pytest.raises(InputError, match=r"0\.5 angstrom"):
        match_structures(bulk("Fe", "bcc", a=2.87), bulk("Fe", "fcc", a=3.6))
