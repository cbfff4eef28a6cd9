from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule, mx2
from hypothesis import given
from hypothesis import strategies as st

from forcebase.errors import InputError
from forcebase.physics.periodicity import kpoint_mesh, periodicity, strain_mask, vacuum_axes

DATA = Path(__file__).parents[2] / "data" / "wse2_gpaw"
LABELLED = ase.io.read(DATA / "wse2_gpaw_pbe.extxyz", ":")
IN_PLANE = [1, 1, 0, 0, 0, 1]


def test_every_labelled_cell_is_a_layer_and_its_mesh_is_the_one_dft_used():
    for atoms in LABELLED:
        cell = atoms.cell.array
        vacuum = vacuum_axes(cell, atoms.positions)
        assert vacuum == (False, False, True)
        assert strain_mask(vacuum, cell) == IN_PLANE
        assert "x".join(map(str, kpoint_mesh(cell, 0.38, vacuum))) == atoms.info["kpts"]


@pytest.mark.parametrize(
    ("atoms", "dimension"),
    [
        (bulk("Si", cubic=True), 3),
        (mx2("MoS2", vacuum=6), 2),
        (graphene(size=(2, 2, 1), vacuum=5), 2),
        (Atoms("Al", cell=[9, 2.8, 9], pbc=True), 1),
        (molecule("H2O", vacuum=5), 0),
    ],
)
def test_dimension(atoms, dimension):
    assert periodicity(atoms.cell.array, atoms.positions).dimension == dimension


@given(
    shift=st.floats(-40, 40, allow_nan=False),
    turns=st.lists(st.integers(-3, 3), min_size=3, max_size=3),
)
def test_vacuum_does_not_depend_on_where_the_layer_stands_or_how_it_is_wrapped(shift, turns):
    atoms = mx2("WSe2", vacuum=6)
    atoms.pbc = True
    positions = atoms.positions + [0, 0, shift] + np.array(turns)[:, None] * atoms.cell.array[2]
    assert vacuum_axes(atoms.cell.array, positions) == (False, False, True)


def test_a_gap_is_measured_along_its_normal_not_along_a_slanted_vector():
    # 5 angstrom between planes, but 10 along the third lattice vector.
    cell = [[3, 0, 0], [0, 3, 0], [np.sqrt(75), 0, 5]]
    assert vacuum_axes(cell, [[0, 0, 0]]) == (False, False, False)
    assert vacuum_axes(cell, [[0, 0, 0]], min_gap=4.9) == (False, False, True)


def test_a_direction_that_is_not_periodic_counts_as_vacuum():
    silicon = bulk("Si")
    vacuum = vacuum_axes(silicon.cell.array, silicon.positions, pbc=(True, True, False))
    assert vacuum == (False, False, True)


def test_strain_mask_follows_the_layer_not_the_order_of_lattice_vectors():
    layer_in_yz = [[16, 0, 0], [0, 3, 0], [0, -1.5, 2.6]]
    assert strain_mask((True, False, False), layer_in_yz) == [0, 1, 1, 1, 0, 0]
    vacuum_vector_first = [[0, 0, 16], [3, 0, 0], [-1.5, 2.6, 0]]
    assert strain_mask((True, False, False), vacuum_vector_first) == IN_PLANE
    assert strain_mask((False, False, False), np.eye(3)) == [1] * 6
    assert strain_mask((True, True, True), np.eye(3)) == [0] * 6
    assert strain_mask((True, True, False), np.eye(3)) == [0, 0, 1, 0, 0, 0]


def test_a_tilted_layer_has_no_strain_mask():
    tilted = Atoms(cell=[[3, 0, 0], [0, 3, 0], [0, 0, 16]])
    tilted.rotate(10, "x", rotate_cell=True)
    with pytest.raises(InputError, match="Cartesian") as caught:
        strain_mask((False, False, True), tilted.cell.array)
    assert "Rotate" in caught.value.hint


@given(st.floats(0.05, 1.5), st.integers(1, 4))
def test_mesh_is_fine_enough_and_a_supercell_needs_its_nth_part(spacing, n):
    cell = np.array([[3.3, 0, 0], [-1.65, 2.858, 0], [0, 0, 16.0]])
    for size in (1, n):
        mesh = np.array(kpoint_mesh(cell * size, spacing))
        steps = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell * size).T, axis=1) / mesh
        assert (steps <= spacing * (1 + 1e-5)).all()
    single, folded = np.array(kpoint_mesh(cell, spacing)), np.array(kpoint_mesh(cell * n, spacing))
    assert (folded * n >= single).all()
    assert ((folded - 1) * n < single).all()


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), np.diag([3, 3, 0]), np.ones((2, 3))])
def test_a_cell_without_volume_is_refused(cell):
    with pytest.raises(InputError):
        vacuum_axes(cell, [[0, 0, 0]])


def test_no_atoms_and_no_spacing_are_refused():
    with pytest.raises(InputError, match="without atoms"):
        vacuum_axes(np.eye(3), np.empty((0, 3)))
    with pytest.raises(InputError, match="not positive"):
        kpoint_mesh(np.eye(3), 0.0)
