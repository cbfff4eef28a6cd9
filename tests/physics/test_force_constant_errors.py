"""Force constants held pair by pair: known errors come out at the distance they were put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forcebase.errors import InputError
from forcebase.physics.force_constant_errors import compare_force_constants
from forcebase.physics.harmonic_crystal import HarmonicCrystal


def test_equal_ones_have_no_error(pristine):
    errors = compare_force_constants(pristine, pristine)
    assert (errors.mae, errors.rmse, errors.relative, errors.n_left_out) == (0, 0, 0, 0)
    assert errors.by_distance[0].distance == 0
    assert errors.by_distance[0].n_pairs == 3
    # W has 6 Se, each Se has 3 W, and the other Se of its pair is further than W.
    assert errors.by_distance[1].n_pairs == 12
    assert errors.by_distance[1].distance == pytest.approx(2.546, abs=0.002)
    assert sum(row.n_pairs for row in errors.by_distance) == errors.n_pairs


def test_a_tenth_stiffer_is_a_tenth_off_at_every_distance(pristine):
    stiffer = replace(pristine, force_constants=1.1 * pristine.force_constants)
    errors = compare_force_constants(stiffer, pristine)
    assert errors.relative == pytest.approx(0.1)
    for row in errors.by_distance:
        assert row.frobenius == pytest.approx(0.1 * row.size)
    sizes = [row.size for row in errors.by_distance]
    assert sizes == sorted(sizes, reverse=True)


def test_an_error_is_where_it_was_put(pristine):
    """On one pair of W and its neighbour W, 0.3 eV/A^2 in one component."""
    primitive, supercell = pristine.phonopy.primitive, pristine.phonopy.supercell
    start = primitive.p2s_map[0]
    apart = supercell.positions - supercell.positions[start]
    lattice = supercell.cell
    fractional = np.linalg.solve(lattice.T, apart.T).T
    lengths = np.linalg.norm((fractional - np.round(fractional)) @ lattice, axis=1)
    near = int(np.argmin(np.abs(lengths - 3.311)))
    changed = pristine.force_constants.copy()
    changed[0, near, 0, 1] += 0.3
    errors = compare_force_constants(replace(pristine, force_constants=changed), pristine)
    wrong = [row for row in errors.by_distance if row.mae > 1e-12]
    assert [round(row.distance) for row in wrong] == [3]
    assert wrong[0].mae == pytest.approx(0.3 / (9 * wrong[0].n_pairs))
    assert wrong[0].frobenius == pytest.approx(0.3 / wrong[0].n_pairs)
    assert errors.rmse == pytest.approx(np.sqrt(0.3**2 / (9 * errors.n_pairs)))


def springs(n):
    """A square layer of one atom, n x n: springs of 2 and 1 eV/A^2 to the nearest neighbours."""
    crystal = HarmonicCrystal(
        numbers=np.array([6]),
        cell=np.diag([2.0, 2.0, 20.0]),
        positions=np.array([[0.0, 0.0, 10.0]]),
        masses=np.array([12.0]),
        supercell_matrix=np.diag([n, n, 1]),
        primitive_matrix=np.eye(3),
        force_constants=np.zeros((1, n * n, 3, 3)),
    )
    steps = crystal.supercell_atoms.positions[:, :2] / 2
    steps -= n * np.round(steps / n)
    lengths = np.abs(steps).sum(axis=1)
    constants = np.zeros((1, n * n, 3, 3))
    constants[0, np.abs(lengths - 1) < 1e-6] = -np.diag([2.0, 2.0, 1.0])
    constants[0, lengths < 1e-6] = 4 * np.diag([2.0, 2.0, 1.0])
    return replace(crystal, force_constants=constants)


def test_unlike_supercells_share_what_both_have():
    errors = compare_force_constants(springs(5), springs(3))
    assert errors.mae == 0
    assert errors.n_pairs == 9
    assert errors.n_left_out == 25 - 9
    even = compare_force_constants(springs(4), springs(3))  # half-way images are shared out
    assert (even.mae, even.n_pairs) == (0, 9)


def test_small_strain_changes_no_pair(pristine):
    stretch = np.diag([1.004, 0.998, 1.0])
    strained = replace(pristine, cell=pristine.cell @ stretch, positions=pristine.positions)
    errors = compare_force_constants(strained, pristine)
    assert (errors.mae, errors.n_left_out) == (0, 0)


def test_unlike_orders_of_atoms_are_refused(pristine):
    other = replace(pristine, numbers=pristine.numbers[::-1])
    with pytest.raises(InputError, match="one setting"):
        compare_force_constants(other, pristine)
