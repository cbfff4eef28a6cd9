from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import bulk, mx2
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from forcebase.errors import CalculationError
from forcebase.models.relaxation import relax


def space_group(atoms: Atoms) -> str:
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    return spglib.get_spacegroup(cell, symprec=1e-6)


@pytest.fixture
def layer() -> Atoms:
    atoms = mx2("WSe2", a=3.1, thickness=2.6, vacuum=8.0)
    atoms.pbc = True
    return atoms


def test_a_layer_keeps_symmetry_and_vacuum_and_loses_its_stress(layer) -> None:
    calculator = LennardJones(sigma=2.4, epsilon=0.4, rc=6.0, smooth=True)
    told: list[tuple[int, float]] = []
    found = relax(layer, calculator, fmax=1e-5, on_step=lambda *step: told.append(step))
    assert space_group(layer).startswith("P-6m2")
    assert space_group(found.atoms) == space_group(layer)
    assert found.fixed_axes == (False, False, True)
    assert (found.atoms.cell.array[2] == layer.cell.array[2]).all()
    assert abs(found.atoms.cell.lengths()[0] - 3.1) > 0.01
    assert found.max_force < 1e-5
    assert np.abs(found.stress[[0, 1, 5]]).max() < 1e-6
    assert told[-1][0] == found.steps > 3
    assert layer.cell.lengths()[0] == pytest.approx(3.1)
    assert found.atoms.calc is None


def test_a_bulk_crystal_relaxes_in_all_directions() -> None:
    found = relax(bulk("Cu", a=3.75), EMT(), fmax=1e-5)
    assert found.atoms.cell.lengths()[0] * np.sqrt(2) == pytest.approx(_emt_copper(), abs=1e-4)
    assert found.fixed_axes == (False, False, False)
    assert np.abs(found.stress).max() < 1e-5


def _emt_copper() -> float:
    """Lattice constant of the least energy, angstrom, from energies alone."""
    constants = np.linspace(3.57, 3.61, 9)
    energies = []
    for a in constants:
        atoms = bulk("Cu", a=a)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    cubic = np.polyder(np.polyfit(constants - 3.59, energies, 4))
    roots = np.roots(cubic)
    return 3.59 + min(roots[np.isreal(roots)].real, key=abs)


def test_what_did_not_converge_is_given_and_says_how_far_it_came() -> None:
    strained = bulk("Cu", a=3.9, cubic=True)
    strained.rattle(0.1, seed=0)
    found = relax(strained, EMT(), max_steps=2)
    assert not found.converged
    assert found.steps == 2
    assert found.max_force > 1e-3
    onward = relax(found.atoms, EMT())
    assert onward.converged
    assert onward.max_gradient < 1e-4


def test_a_cell_that_did_not_converge_says_so_though_no_force_is_left() -> None:
    """In fcc Cu no force acts on the atom, whatever the strain."""
    found = relax(bulk("Cu", a=3.9), EMT(), max_steps=1)
    assert not found.converged
    assert found.max_force < 1e-10
    assert found.max_gradient > 1e-2


def test_positions_and_the_cell_given_stay_as_they_are(layer) -> None:
    before = layer.copy()
    relax(layer, LennardJones(sigma=2.4, epsilon=0.4, rc=6.0, smooth=True), fmax=1e-3)
    assert (layer.positions == before.positions).all()
    assert (layer.cell.array == before.cell.array).all()
    assert layer.calc is None


class Broken(EMT):
    """A calculator whose forces are not numbers."""

    def calculate(self, *args, **kwargs) -> None:
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"] * np.nan


def test_forces_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(CalculationError, match=r"NaN"):
        relax(bulk("Cu", cubic=True), Broken(), fmax=1e-3)
