"""Thermal displacements against statistical mechanics, on a crystal that is not a layer."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from ase.build import bulk, mx2
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.thermal_displacements import ThermalDraws, draw_thermal


def springs(atoms, repeats, cutoff=3.2, k=3.0):
    """A crystal of springs between near atoms: stable, and exactly harmonic."""
    cell = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, positions=atoms.positions)
    phonopy = Phonopy(cell, np.diag(repeats), primitive_matrix=np.eye(3))
    sites = phonopy.supercell
    lattice = np.array(sites.cell)
    constants = np.zeros((len(sites), len(sites), 3, 3))
    for i in range(len(sites)):
        for shift in np.ndindex(3, 3, 3):
            apart = sites.positions - sites.positions[i] + (np.array(shift) - 1) @ lattice
            for j in np.flatnonzero(np.linalg.norm(apart, axis=1) < cutoff):
                if i == j and np.linalg.norm(apart[j]) < 1e-6:
                    continue
                unit = apart[j] / np.linalg.norm(apart[j])
                spring = k * (np.outer(unit, unit) + 0.2 * np.eye(3))
                constants[i, j] -= spring
                constants[i, i] += spring
    phonopy.force_constants = constants
    return HarmonicCrystal.from_phonopy(phonopy), constants


def test_the_mean_potential_energy_is_half_kt_for_each_mode():
    """Equipartition: kT / 2 for each of the 3N - 3 modes that are not a translation."""
    crystal, constants = springs(bulk("Al", cubic=True), (2, 2, 2))
    temperature = 450.0
    drawn = draw_thermal(crystal, ThermalDraws("Al", (temperature,), count=60, seed=3))
    at_rest = crystal.supercell_atoms.positions
    energies = [
        np.einsum("ia,ijab,jb", d.atoms.positions - at_rest, constants, d.atoms.positions - at_rest)
        / 2
        for d in drawn
    ]
    n_modes = 3 * len(at_rest) - 3
    expected = n_modes * units.kB * temperature / 2
    spread = expected * np.sqrt(2 / n_modes / len(drawn))  # of the mean of chi-squared draws
    assert abs(np.mean(energies) - expected) < 4 * spread


def test_quantum_statistics_move_the_atoms_further_at_low_temperature():
    crystal, _ = springs(bulk("Al", cubic=True), (2, 2, 2))
    at_rest = crystal.supercell_atoms.positions
    classical, quantum = (
        np.std(
            [
                d.atoms.positions - at_rest
                for d in draw_thermal(
                    crystal, ThermalDraws("Al", (20.0,), 8, statistics=statistics)
                )
            ]
        )
        for statistics in ("classical", "quantum")
    )
    assert quantum > 1.5 * classical


def test_a_draw_depends_on_its_seed_temperature_and_number_alone():
    crystal, _ = springs(bulk("Al", cubic=True), (2, 2, 2))
    few = draw_thermal(crystal, ThermalDraws("Al", (300.0,), count=1, strain=0.02, seed=5))
    many = draw_thermal(crystal, ThermalDraws("Al", (100.0, 300.0), count=2, strain=0.02, seed=5))
    same = next(d for d in many if d.kind == "Al-300K")
    np.testing.assert_allclose(few[0].atoms.positions, same.atoms.positions, atol=1e-10)
    assert len({d.family for d in many}) == 4
    other = draw_thermal(crystal, ThermalDraws("Al", (300.0,), count=1, strain=0.02, seed=6))
    assert np.abs(other[0].atoms.positions - few[0].atoms.positions).max() > 1e-3


def test_another_supercell_and_a_recipe_that_says_what_was_drawn():
    crystal, _ = springs(bulk("Al", cubic=True), (2, 2, 2))
    matrix = ((1, 0, 0), (0, 2, 0), (0, 0, 1))
    draws = ThermalDraws("Al", (300.0,), count=1, supercell_matrix=matrix, strain=0.01)
    (drawn,) = draw_thermal(crystal, draws, phonon="a" * 64)
    assert len(drawn.atoms) == 8
    parameters = drawn.recipe["parameters"]
    assert parameters["statistics"] == "classical"
    assert parameters["supercell_matrix"] == [list(row) for row in matrix]
    assert parameters["phonon"] == "a" * 64
    strain = np.array(parameters["strain"])
    np.testing.assert_allclose(strain, strain.T)
    expected = np.diag([1, 2, 1]) @ crystal.cell @ (np.eye(3) + strain)
    np.testing.assert_allclose(drawn.atoms.cell.array, expected)


def test_a_layer_is_not_strained_across_its_vacuum():
    layer = mx2("MoS2", a=3.18, thickness=3.13, vacuum=6.0)
    layer.pbc = True
    crystal, _ = springs(layer, (2, 2, 1))
    (drawn,) = draw_thermal(crystal, ThermalDraws("MoS2", (300.0,), 1, strain=0.02))
    assert np.abs(np.array(drawn.recipe["parameters"]["strain"])[2]).max() < 1e-12
    assert drawn.atoms.cell[2, 2] == pytest.approx(layer.cell[2, 2])


def test_an_unstable_crystal_is_refused():
    crystal, _ = springs(bulk("Al", cubic=True), (2, 2, 2), k=-3.0)
    with pytest.raises(InputError, match="unstable"):
        draw_thermal(crystal, ThermalDraws("Al", (300.0,), 1))


def test_senseless_draws_are_refused():
    for wrong in ({"temperatures": (0.0,)}, {"temperatures": ()}, {"count": 0}):
        with pytest.raises(InputError):
            ThermalDraws(**{"kind": "Al", "temperatures": (300.0,), "count": 1, **wrong})
