"""Cells that are multiples of one as they stand, and stresses compared between them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell

from forcebase.physics.common_orientation import (
    PRINCIPAL,
    farthest_stresses,
    is_multiple,
    principal_stresses,
)

PRIMITIVE = bulk("Si", a=5.43)


def of(atoms: Atoms):
    return atoms.numbers, atoms.cell.array, atoms.positions


@pytest.mark.parametrize("matrix", [[[2, 1, 0], [0, 1, 0], [0, 0, 1]], np.diag([2, 2, 1])])
def test_supercells_stand_as_their_cell_does_wherever_their_origin_is(matrix):
    large = make_supercell(PRIMITIVE, matrix)
    large.translate([0.3, 0.1, 0.2])
    large.wrap()
    assert is_multiple(of(PRIMITIVE), of(large))
    assert is_multiple(of(PRIMITIVE), of(bulk("Si", a=5.43, cubic=True)))


def test_turned_cells_do_not_even_where_their_lattices_fall_together():
    primitive, cubic = (bulk("ZnS", "zincblende", a=5.41, cubic=c) for c in (False, True))
    turned = cubic.copy()
    turned.rotate(20, "z", rotate_cell=True)
    assert is_multiple(of(primitive), of(cubic))
    assert not is_multiple(of(primitive), of(turned))
    quarter = cubic.copy()  # turns the cubic lattice into itself, and the bonds into others
    quarter.rotate(90, "z", rotate_cell=False)
    assert not is_multiple(of(primitive), of(quarter))


def test_principal_stresses_are_those_of_the_tensor():
    stress = np.array([1.0, 2.0, 3.0, 0.4, 0.5, 0.6])
    tensor = np.array([[1.0, 0.6, 0.5], [0.6, 2.0, 0.4], [0.5, 0.4, 3.0]])
    np.testing.assert_allclose(principal_stresses(stress), np.linalg.eigvalsh(tensor))


def test_the_farthest_are_named_with_what_differs():
    zero = np.zeros(6)
    assert farthest_stresses([zero, np.eye(6)[4]], [True, True]) == (1.0, 0, 1, "xz")
    assert farthest_stresses([np.eye(6)[2], zero], [True, True]) == (1.0, 1, 0, "zz")
    apart, *_, what = farthest_stresses([zero, np.eye(6)[4]], [True, False])
    assert (apart, what) == (pytest.approx(1.0), PRINCIPAL)
