"""Forces that a constraint left out, and zeros that are none."""

import numpy as np
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from forcebase.physics.frozen_forces import frozen_atoms
from forcebase.physics.labelled_cell import LabelledCell


def labelled(atoms, forces):
    return LabelledCell(atoms.numbers, atoms.cell.array, atoms.positions, 0.0, forces, None)


def slab(seed):
    atoms = fcc111("Cu", (2, 2, 3), vacuum=7.0)
    atoms.pbc = True
    atoms.rattle(0.1, seed=seed)
    atoms.calc = EMT()
    return atoms


def test_fixed_atoms_of_a_slab_are_found():
    slabs = [slab(1), slab(2)]
    right = [labelled(atoms, atoms.get_forces()) for atoms in slabs]
    for atoms in slabs:
        atoms.set_constraint(FixAtoms([0, 1, 2, 3]))
    index, found = frozen_atoms([labelled(atoms, atoms.get_forces()) for atoms in slabs])
    assert index == 0
    assert found.tolist() == [0, 1, 2, 3]
    assert frozen_atoms(right) is None


def displaced(cell, move):
    atoms = cell.copy()
    atoms.positions[0] += move
    atoms.calc = EMT()
    return labelled(atoms, np.round(atoms.get_forces(), 5))


def test_zeros_of_symmetry_are_none_of_a_constraint():
    """One atom moved: its neighbours feel it, atoms across the cell do not."""
    cells = [displaced(bulk("Cu", cubic=True) * (4, 2, 2), [k, 0, 0]) for k in (0.2, -0.2)]
    assert any((~cell.forces.any(axis=1)).any() for cell in cells)
    assert frozen_atoms(cells) is None


def test_atoms_beyond_the_reach_of_a_potential_are_none():
    cells = [displaced(bulk("Cu", cubic=True) * (5, 1, 1), [k, k / 2, 0.02]) for k in (0.1, -0.1)]
    assert frozen_atoms(cells) is None


def test_a_relaxed_crystal_has_none():
    atoms = bulk("Cu", cubic=True)
    assert frozen_atoms([labelled(atoms, np.zeros((4, 3)))] * 2) is None
