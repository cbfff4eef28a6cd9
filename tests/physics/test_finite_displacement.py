from pathlib import Path

import ase.io
import numpy as np
import phonopy
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from phonopy.structure.atoms import PhonopyAtoms

from forcebase.errors import InputError
from forcebase.physics.finite_displacement import (
    displacements,
    harmonic_crystal,
    unit_cell_masses,
)
from forcebase.physics.harmonic_crystal import symmetrize
from forcebase.physics.phonopy_contents import from_phonopy_yaml

DATA = Path(__file__).parents[2] / "data" / "wse2_gpaw"
UNIT_CELL = ase.io.read(DATA / "wse2_gpaw_unitcell.extxyz")


@pytest.fixture(scope="module")
def crystal():
    return symmetrize(from_phonopy_yaml(DATA / "phonopy_wse2_gpaw_3x3.yaml"))


@pytest.fixture(scope="module")
def displaced():
    return displacements(UNIT_CELL, [3, 3, 1], 0.02)


def test_displaced_cells_are_those_the_dft_was_run_on(displaced):
    computed = ase.io.read(DATA / "wse2_gpaw_3x3_displacements.extxyz", ":")
    assert len(displaced.supercells) == len(computed) == 3
    for made, stored in zip(displaced.supercells, computed, strict=True):
        np.testing.assert_allclose(made.positions, stored.positions, atol=1e-7)
        np.testing.assert_array_equal(made.numbers, stored.numbers)
        assert made.pbc.all()


def test_magnetic_moments_count_for_the_displacements():
    iron = bulk("Fe", "bcc", 2.87, cubic=True)
    for moments, n in ([0.0, 0.0], 1), ([2.0, 1.0], 2):
        iron.set_initial_magnetic_moments(moments)
        made = phonopy.Phonopy(
            PhonopyAtoms(
                numbers=iron.numbers,
                cell=iron.cell.array,
                positions=iron.positions,
                magnetic_moments=moments if n == 2 else None,
            ),
            np.diag([2, 2, 2]),
            primitive_matrix=np.eye(3),
        )
        made.generate_displacements(distance=0.02)
        mine = displacements(iron, [2, 2, 2], 0.02)
        assert len(made.supercells_with_displacements) == len(mine.supercells) == n


def test_each_supercell_has_one_atom_moved_by_the_distance(displaced):
    for made in displaced.supercells:
        lengths = np.linalg.norm(made.positions - displaced.supercell.positions, axis=1)
        assert np.sort(lengths)[-2:] == pytest.approx([0, 0.02], abs=1e-12)


def test_dft_forces_give_the_stored_dft_force_constants(displaced, crystal):
    computed = ase.io.read(DATA / "wse2_gpaw_3x3_displacements.extxyz", ":")
    forces = np.array([atoms.arrays["REF_forces"] for atoms in computed])
    made = harmonic_crystal(displaced, forces)
    np.testing.assert_allclose(made.force_constants, crystal.force_constants, atol=1e-5)


def test_harmonic_forces_give_their_own_force_constants_back(displaced, crystal):
    full = compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants)
    shifts = [made.positions - displaced.supercell.positions for made in displaced.supercells]
    forces = -np.einsum("ijab,djb->dia", full, shifts)
    made = harmonic_crystal(displaced, forces)
    np.testing.assert_allclose(made.force_constants, crystal.force_constants, atol=1e-9)


def test_residual_forces_are_taken_off(displaced):
    random = np.random.default_rng(1)
    forces = random.normal(size=(3, 27, 3))
    residual = random.normal(size=(27, 3))
    plain = harmonic_crystal(displaced, forces)
    corrected = harmonic_crystal(displaced, forces + residual, residual)
    np.testing.assert_allclose(corrected.force_constants, plain.force_constants, atol=1e-9)


def test_an_embedded_atom_crystal_against_second_differences_of_its_forces():
    copper = bulk("Cu", a=3.6)
    displaced = displacements(copper, 2 * np.eye(3, dtype=int), 0.01)
    made = harmonic_crystal(displaced, [_emt_forces(atoms) for atoms in displaced.supercells])
    step = 0.01
    pulls = []
    for sign in (1, -1):
        atoms = displaced.supercell.copy()
        atoms.positions[0, 1] += sign * step
        pulls.append(_emt_forces(atoms))
    column = -(pulls[0] - pulls[1]) / (2 * step)
    np.testing.assert_allclose(made.force_constants[0, :, 1, :], column, atol=5e-3)


def test_what_cannot_be_used_is_refused(displaced):
    with pytest.raises(InputError, match="not positive"):
        displacements(UNIT_CELL, [3, 3, 1], 0.0)
    for matrix in ([3, 3], [[3, 0, 0], [0, 3, 0], [0, 0, 0.5]], [0, 3, 1]):
        with pytest.raises(InputError, match="not a supercell matrix"):
            displacements(UNIT_CELL, matrix)
    with pytest.raises(InputError, match="do not fit") as caught:
        harmonic_crystal(displaced, np.zeros((2, 27, 3)))
    assert caught.value.evidence["expected"] == (3, 27, 3)
    with pytest.raises(InputError, match="NaN"):
        harmonic_crystal(displaced, np.full((3, 27, 3), np.nan))


def test_masses_are_phonopys_unless_set():
    assert unit_cell_masses(UNIT_CELL).tolist() == [183.84, 78.96, 78.96]
    isotopes = UNIT_CELL.copy()
    isotopes.set_masses([186.0, 80.0, 80.0])
    assert unit_cell_masses(isotopes).tolist() == [186.0, 80.0, 80.0]


def _emt_forces(atoms):
    atoms = atoms.copy()
    atoms.calc = EMT()
    return atoms.get_forces()
