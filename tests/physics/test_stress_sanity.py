"""Units and signs of stresses, told from the energies of neighbouring cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_stress
from ase.calculators.morse import MorsePotential
from ase.io import read

from forcebase.physics.labelled_cell import LabelledCell
from forcebase.physics.stress_pairs import stress_pairs
from forcebase.physics.stress_sanity import check_stress


@pytest.fixture(scope="module")
def cells(data_folder):
    return [
        LabelledCell(
            atoms.numbers,
            atoms.cell.array,
            atoms.positions,
            atoms.info["REF_energy"],
            atoms.arrays["REF_forces"],
            np.asarray(atoms.info["REF_stress"]),
        )
        for atoms in read(data_folder / "wse2_gpaw_pbe.extxyz", ":")
    ]


def times(cells, factor):
    return [LabelledCell(**{**vars(cell), "stress": factor * cell.stress}) for cell in cells]


def test_the_work_of_real_stresses_is_the_change_of_energy(cells):
    left, work = np.array([(p.left, p.work) for p in stress_pairs(cells)]).T
    assert left @ work / (work @ work) == pytest.approx(1.0, abs=0.1)
    assert check_stress(cells).doubt == ""


@pytest.mark.parametrize(
    "factor", [-1.0, 160.21766, -160.21766, 1602.1766, 0.00624151, -0.00624151]
)
def test_other_units_and_signs_are_noticed(cells, factor):
    assert check_stress(times(cells, factor)).doubt


def test_one_cell_says_nothing_and_none_neither(cells):
    assert check_stress(cells[:1]).doubt == check_stress(times(cells[:1], -1.0)).doubt == ""
    assert check_stress([]).doubt == ""


def test_two_cells_that_are_plainly_wrong_are_enough(cells):
    pairs = [
        [one, other]
        for i, one in enumerate(cells)
        for other in cells[i + 1 :]
        for pair in stress_pairs([one, other])
        if abs(pair.left) > 0.1 and abs(pair.left / pair.work - 1) < 0.1
    ]
    assert len(pairs) > 10
    for pair in pairs:
        assert check_stress(pair).doubt == ""
        assert "positive under compression" in check_stress(times(pair, -1.0)).doubt
        assert "GPa" in check_stress(times(pair, 160.21766)).doubt


def test_no_crystals_are_all_without_stress(cells):
    assert "exactly zero" in check_stress(times(cells[:2], 0.0)).doubt
    assert check_stress(times(cells[:1], 0.0)).doubt == ""


def strained(n=12, size=0.02, constant=0.0, a=3.6):
    """Copper of EMT, strained and rattled, with a constant pressure on its stresses."""
    made = []
    for k in range(n):
        rng = np.random.default_rng(k)
        atoms = bulk("Cu", a=a, cubic=True)
        strain = rng.normal(scale=size, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.rattle(0.02, seed=k)
        atoms.calc = EMT()
        made.append(
            LabelledCell(
                atoms.numbers,
                atoms.cell.array,
                atoms.positions,
                atoms.get_potential_energy(),
                atoms.get_forces(),
                atoms.get_stress() - constant * np.array([1, 1, 1, 0, 0, 0]),
            )
        )
    return made


def with_stress(cells, change):
    return [replace(cell, stress=change(cell.stress)) for cell in cells]


def test_the_stresses_that_are_called_right_are_numerical_derivatives():
    cell = strained(1)[0]
    atoms = Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True, calculator=EMT())
    np.testing.assert_allclose(calculate_numerical_stress(atoms, 1e-5), cell.stress, atol=1e-6)
    found = check_stress(strained())
    assert (found.doubt, found.pressure) == ("", 0.0)
    assert found.pairs > 10


def test_shears_in_vasps_order_are_told_from_the_diagonal():
    vasp = with_stress(strained(), lambda s: s[[0, 1, 2, 5, 3, 4]])
    assert "VASP's (xx, yy, zz, xy, yz, zx) order" in check_stress(vasp).doubt
    other = with_stress(strained(), lambda s: s[[0, 1, 2, 4, 3, 5]])
    assert "another order" in check_stress(other).doubt


@pytest.mark.parametrize("factor", [-1.0, 0.1])
def test_shears_alone_of_another_sign_or_size(factor):
    cells = with_stress(strained(), lambda s: s * [1, 1, 1, factor, factor, factor])
    assert "while xx, yy and zz are right" in check_stress(cells).doubt


@pytest.mark.parametrize("constant", [0.02, -0.02, 0.05])
@pytest.mark.parametrize("size", [3.45, 3.6, 3.7])
def test_a_constant_pressure_is_no_wrong_unit(constant, size):
    """As a Pulay stress is; its size is said, in meV/angstrom^3."""
    found = check_stress(strained(constant=constant, a=size))
    assert found.doubt == ""
    assert found.pressure == pytest.approx(constant, abs=0.006)
    assert ("compressive" if constant > 0 else "tensile") in found.note
    assert f"{1000 * abs(found.pressure):.3g} meV/angstrom^3" in found.note


@pytest.mark.parametrize("factor", [-1.0, 160.21766, 1602.1766, 0.00624151])
@pytest.mark.parametrize("size", [3.45, 3.6, 3.7])
def test_signs_and_units_are_not_taken_for_a_constant_pressure(factor, size):
    cells = with_stress(strained(a=size), lambda s: factor * s)
    assert check_stress(cells).doubt


def test_an_equation_of_state_has_no_constant_pressure():
    """Strains of some percent have terms of third order, which are not to be taken for one."""
    cells = []
    for k in range(9):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell * (0.96 + 0.01 * k), scale_atoms=True)
        atoms.calc = EMT()
        labels = (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
        cells.append(LabelledCell(atoms.numbers, atoms.cell.array, atoms.positions, *labels))
    found = check_stress(cells)
    assert (found.doubt, found.pressure) == ("", 0.0)


def test_wrong_forces_are_not_blamed_on_right_stresses():
    cells = [replace(cell, forces=-cell.forces) for cell in loud()]
    found = check_stress(cells)
    assert "forces do not" in found.doubt
    assert "gradients" in found.doubt
    assert found.what == "forces"
    atomic = check_stress([replace(cell, forces=cell.forces / 51.4221) for cell in loud()])
    assert "the forces are in Hartree/bohr" in atomic.doubt


def test_wrong_energies_are_not_blamed_on_stresses_or_taken_for_a_constant():
    """Forces and stresses agree; the crystal may be under pressure, which looks like a constant."""
    for cells in (loud(), loud(5.0), ionic()):
        assert check_stress(cells).doubt == ""
        n = len(cells[0].numbers)
        for size, reason in ((27.2114, "in Hartree"), (n, "per atom")):
            found = check_stress([replace(cell, energy=cell.energy / size) for cell in cells])
            assert found.what == "energies"
            assert f"the energies are {reason}" in found.doubt


def ionic():
    """Rock salt of a Morse potential, under 15 GPa."""
    made = []
    rng = np.random.default_rng(3)
    for k in range(10):
        atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
        strain = rng.normal(scale=0.01, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.rattle(0.03, seed=k)
        atoms.calc = MorsePotential(epsilon=0.3, r0=2.8, rho0=6, rcut1=5, rcut2=6)
        labels = (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
        made.append(LabelledCell(atoms.numbers, atoms.cell.array, atoms.positions, *labels))
    return made


def loud(pressure_strain=0.0):
    made = []
    for k in range(10):
        rng = np.random.default_rng(k)
        atoms = bulk("Cu", cubic=True)
        strain = rng.normal(scale=0.01, size=(3, 3))
        strain -= pressure_strain / 100 * np.eye(3)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        labels = (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
        made.append(LabelledCell(atoms.numbers, atoms.cell.array, atoms.positions, *labels))
    return made


@pytest.mark.parametrize(("symbol", "rattle"), [("Pd", 0.03), ("Al", 0.05), ("Cu", 0.08)])
def test_rattled_cells_that_grow_have_no_constant_pressure(symbol, rattle):
    """A strain changes the springs too: where all cells are rattled alike, in step with volume."""
    chance = np.random.default_rng(3)
    told = []
    for n in range(10):
        atoms = bulk(symbol, cubic=True)
        atoms.set_cell(atoms.cell * (1 + 0.004 * n), scale_atoms=True)
        atoms.positions += chance.normal(scale=rattle, size=atoms.positions.shape)
        atoms.calc = EMT()
        energy, forces, stress = (
            atoms.get_potential_energy(),
            atoms.get_forces(),
            atoms.get_stress(),
        )
        given = (atoms.numbers, atoms.cell.array, atoms.positions, energy, forces)
        told.append(LabelledCell(*given, stress))
    found = check_stress(told)
    assert found.pairs > 4
    assert (found.doubt, found.note) == ("", "")
