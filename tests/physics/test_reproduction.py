"""Tolerances of what a model gives again, and what is compared by them."""

import numpy as np
import pytest
from ase.build import bulk, mx2

from forcebase.physics.reproduction import (
    LABELS,
    force_constant_tolerance,
    geometry_deviation,
    label_deviation,
    largest_difference,
    relaxation_tolerance,
)

LABEL = (-30.0, np.zeros((3, 3)), np.zeros(6))


def label(energy=0.0, force=0.0, stress=0.0):
    forces, stresses = np.zeros((3, 3)), np.zeros(6)
    forces[1, 2], stresses[4] = force, stress
    return LABEL[0] + energy, forces, stresses


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_each_label_is_held_to_its_own_tolerance(dtype):
    tolerance = LABELS[dtype]
    for name, allowed in (
        ("energy", 3 * tolerance.energy + tolerance.relative * 30),
        ("force", tolerance.force),
        ("stress", tolerance.stress),
    ):
        within, beyond = (
            label_deviation(LABEL, label(**{name: part * allowed}), tolerance)
            for part in (0.99, 1.01)
        )
        assert within.is_within(tolerance)
        assert not beyond.is_within(tolerance)
        assert getattr(beyond, name) > 0


def test_total_energies_of_all_electrons_are_rounded_more():
    tolerance = LABELS["float32"]
    heavy = (-3e5, *LABEL[1:])
    again = (-3e5 * (1 + 6e-8), *LABEL[1:])
    assert label_deviation(heavy, again, tolerance).is_within(tolerance)
    assert not label_deviation(LABEL, label(3e5 * 6e-8), tolerance).is_within(tolerance)


@pytest.mark.parametrize("force", [np.nan, np.inf])
def test_what_is_no_number_is_never_the_same(force):
    tolerance = LABELS["float32"]
    assert not label_deviation(LABEL, label(force=force), tolerance).is_within(tolerance)
    assert largest_difference([0.0], [0.0, 0.0]) == float("inf")


def test_a_stress_that_one_of_them_lacks_is_not_compared():
    found = label_deviation((*LABEL[:2], None), label(stress=1.0), LABELS["float64"])
    assert found.is_within(LABELS["float64"])


def test_a_relaxation_is_as_exact_as_its_largest_force():
    tight, loose = (relaxation_tolerance("float64", fmax) for fmax in (1e-5, 0.05))
    assert tight.length == pytest.approx(1.2e-4)
    assert tight.energy == pytest.approx(1e-7, rel=0.01)
    assert loose.length == 0.1
    assert relaxation_tolerance("float32", 1e-5).length > 10 * tight.length / 2


def test_force_constants_follow_the_geometry_and_the_displacement():
    relaxed = {"fmax_eV_per_A": 1e-5, "method": "analytic", "tolerance_eV_per_A2": 1e-8}
    assert force_constant_tolerance("float64", relaxed) == pytest.approx(0.012, rel=0.01)
    moved = {"fmax_eV_per_A": 1e-5, "method": "displacements", "displacement_A": 0.01}
    noisy = force_constant_tolerance("float32", moved) - 100 * (1e-3 + 1e-5) / 0.1
    assert noisy == pytest.approx(0.1)


def test_a_shift_of_all_atoms_or_a_lattice_vector_is_no_deviation():
    atoms = mx2("WSe2", vacuum=8)
    moved = atoms.copy()
    moved.positions += [0.3, -0.2, 0.1]
    moved.positions[1] += atoms.cell[0]
    cells = (atoms.cell.array, moved.cell.array)
    length, strain = geometry_deviation(cells, (atoms.positions, moved.positions))
    assert (length, strain) == pytest.approx((0, 0), abs=1e-12)
    moved.positions[2] += [0, 0, 3e-3]
    length, _ = geometry_deviation(cells, (atoms.positions, moved.positions))
    assert length == pytest.approx(2e-3)
    moved.set_cell(moved.cell.array * [1.01, 1, 1], scale_atoms=True)
    _, strain = geometry_deviation(
        (atoms.cell.array, moved.cell.array), (atoms.positions, moved.positions)
    )
    assert strain == pytest.approx(0.01)


def test_other_numbers_of_atoms_are_infinitely_apart():
    cell = bulk("Cu").cell.array
    assert geometry_deviation((cell, cell), (np.zeros((1, 3)), np.zeros((2, 3))))[0] == np.inf
