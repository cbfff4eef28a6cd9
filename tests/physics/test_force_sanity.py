"""Signs, units and order of forces, told from the energies of frames of one cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, mx2
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces
from ase.calculators.lj import LennardJones
from ase.io import read

from forcebase.physics.force_sanity import check_forces
from forcebase.physics.labelled_cell import LabelledCell

HARTREE, BOHR = 27.2114, 0.529177


def labelled(atoms: Atoms) -> LabelledCell:
    return LabelledCell(
        atoms.numbers,
        atoms.cell.array,
        atoms.positions.copy(),
        atoms.get_potential_energy(),
        atoms.get_forces(),
        None,
    )


def rattled(perfect: Atoms, calculator, n=8, size=0.06, seed=0) -> list[LabelledCell]:
    made = []
    for k in range(n):
        atoms = perfect.copy()
        atoms.rattle(size, seed=seed + k)
        atoms.calc = calculator
        made.append(labelled(atoms))
    return made


def copper() -> list[LabelledCell]:
    return rattled(bulk("Cu", cubic=True) * (2, 2, 1), EMT())


def argon() -> list[LabelledCell]:
    gas = LennardJones(sigma=3.405, epsilon=0.0104, rc=8.0, smooth=True)
    return rattled(bulk("Ar", a=5.26, cubic=True) * (3, 3, 3), gas, n=20, size=0.05)


def layer() -> list[LabelledCell]:
    """A layer with vacuum, its atoms bound by a Lennard-Jones of the right length."""
    sheet = mx2("WSe2", a=3.3, thickness=3.3, vacuum=8.0) * (2, 2, 1)
    sheet.pbc = True
    bond = LennardJones(sigma=2.3, epsilon=0.5, rc=6.0, smooth=True)
    return rattled(sheet, bond, n=20, size=0.02)


CRYSTALS = [copper, argon, layer]


def changed(cells, force=1.0, energy=1.0):
    return [replace(c, forces=force * c.forces, energy=energy * c.energy) for c in cells]


@pytest.mark.parametrize("make", CRYSTALS)
def test_the_work_of_right_forces_is_the_change_of_energy(make):
    found = check_forces(make())
    assert found.doubt == ""
    assert found.pairs > 5
    assert found.slope == pytest.approx(1, abs=0.1)


def test_the_forces_that_are_called_right_are_those_of_numerical_derivatives():
    """Independently of any calculator's own forces."""
    gas = LennardJones(sigma=3.405, epsilon=0.0104, rc=8.0, smooth=True)
    made = []
    for cell in rattled(bulk("Ar", a=5.26, cubic=True) * (2, 1, 1), gas, n=5, size=0.05):
        atoms = Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=True, calculator=gas)
        forces = calculate_numerical_forces(atoms, 1e-4)
        np.testing.assert_allclose(forces, cell.forces, atol=1e-5)
        made.append(replace(cell, forces=forces))
    louder = changed(made, 20, 20)  # above the floor that is taken for noise
    assert check_forces(louder).doubt == ""
    assert "gradients" in check_forces(changed(louder, -1)).doubt


@pytest.mark.parametrize("make", CRYSTALS)
@pytest.mark.parametrize(
    ("force", "energy", "words"),
    [
        (-1, 1, "gradients"),
        (BOHR / HARTREE, 1 / HARTREE, "both in atomic units"),
        (BOHR / HARTREE, 1, "Hartree/bohr"),
        (-BOHR / HARTREE, 1, "gradients, -F"),
        (2 * BOHR / HARTREE, 1, "Rydberg/bohr"),
    ],
)
def test_other_signs_and_units_are_named(make, force, energy, words):
    assert words in check_forces(changed(make(), force, energy)).doubt


@pytest.mark.parametrize("factor", [1 / HARTREE, 2 / HARTREE, 1 / 23.0605, 23.0605, 96.4853])
def test_energies_of_another_unit(factor):
    assert "contradict" in check_forces(changed(copper(), energy=factor)).doubt


def test_energies_per_atom():
    cells = copper()
    found = check_forces(changed(cells, energy=1 / len(cells[0].numbers)))
    assert "per atom" in found.doubt


@pytest.mark.parametrize("seed", range(6))
def test_forces_in_another_order(seed):
    cells = copper()
    order = np.random.default_rng(seed).permutation(len(cells[0].numbers))
    assert check_forces([replace(c, forces=c.forces[order]) for c in cells]).doubt


def test_forces_of_two_atoms_exchanged():
    cells = copper()
    order = np.arange(len(cells[0].numbers))
    order[[2, 9]] = order[[9, 2]]
    cells = [replace(c, forces=c.forces[order]) for c in cells]
    found = check_forces(cells)
    assert not found.doubt or "2 atoms in another order" in found.doubt


def test_one_wrong_frame_does_not_condemn_the_rest():
    cells = copper()
    cells[3] = replace(cells[3], energy=cells[3].energy + 5.0)
    assert check_forces(cells).doubt == ""


def test_two_states_of_spin_in_one_set_are_no_contradiction():
    """Their energies differ by what no force explains: nothing is known to be wrong."""
    cells = copper()
    cells = [replace(c, energy=c.energy + 0.4 * (k % 2)) for k, c in enumerate(cells)]
    assert check_forces(cells).doubt == ""


def test_frames_too_far_apart_for_the_rule_say_nothing():
    cells = rattled(bulk("Ar", a=5.26, cubic=True), LennardJones(sigma=3.4), size=0.6)
    assert check_forces(changed(cells, -1)).pairs == 0


def test_one_frame_and_frames_of_unlike_cells_say_nothing():
    cells = copper()
    assert check_forces(changed(cells[:1], -1)) == check_forces([])
    apart = [replace(c, cell=c.cell * (1 + 0.01 * k)) for k, c in enumerate(changed(cells, -1))]
    assert check_forces(apart).pairs == 0


def test_two_frames_are_enough_where_they_are_plain():
    loud = rattled(bulk("Cu", cubic=True) * (2, 2, 1), EMT(), size=0.1)
    loud.sort(key=lambda cell: cell.energy)
    middle = [loud[0], loud[-1]]
    assert check_forces(middle).doubt == ""
    doubt = check_forces(changed(middle, -1)).doubt
    assert not doubt or "gradients" in doubt


def test_one_cell_of_many_is_enough():
    """A set of which one part has gradients is refused, though the slope of all is not far off."""
    good = [
        cell
        for size in (3.55, 3.6, 3.65)
        for cell in rattled(bulk("Cu", a=size, cubic=True) * (2, 2, 1), EMT(), n=10)
    ]
    assert check_forces(good).doubt == ""
    assert "gradients" in check_forces([*good, *changed(argon(), -1)]).doubt


def test_atoms_that_cross_the_cell_have_moved_little():
    cells = [
        replace(c, positions=c.positions + k * np.array([c.cell[0], c.cell[1]]).sum(0))
        for k, c in enumerate(copper())
    ]
    assert check_forces(cells).slope == pytest.approx(1, abs=0.1)


def test_all_zero():
    assert "exactly zero" in check_forces(changed(copper(), 0)).doubt


def test_real_data_pass(data_folder):
    for name in ("wse2_gpaw_pbe", "wse2_gpaw_3x3_displacements"):
        frames = read(data_folder / f"{name}.extxyz", ":")
        cells = [
            LabelledCell(
                a.numbers,
                a.cell.array,
                a.positions,
                a.info["REF_energy"],
                a.arrays["REF_forces"],
                None,
            )
            for a in frames
        ]
        assert check_forces(cells).doubt == ""


@pytest.mark.parametrize("make", [copper, argon])
def test_energies_at_zero_width_are_not_refused(make):
    """In a metal they are off by half of TS, some per cent of what changes from frame to frame."""
    cells = make()
    rng = np.random.default_rng(0)
    usual = np.std([cell.energy for cell in cells])
    off = 0.1 * usual * rng.normal(size=len(cells))
    extrapolated = [replace(c, energy=c.energy + d) for c, d in zip(cells, off, strict=True)]
    assert check_forces(extrapolated).doubt == ""
