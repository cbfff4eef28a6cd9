"""One crystal in cells of several sizes is found, and other crystals are not taken for it."""

from __future__ import annotations

import numpy as np
from ase.build import bulk, make_supercell

from forcebase.physics.same_crystal import same_crystals


def groups(*cells):
    numbers, positions = [a.numbers for a in cells], [a.positions for a in cells]
    found = same_crystals(numbers, [a.cell.array for a in cells], positions)
    return [sorted(group) for group in found]


def test_cells_of_several_sizes_and_settings_of_one_crystal():
    primitive = bulk("Si", a=5.43)
    cubic = bulk("Si", a=5.43, cubic=True)
    skewed = make_supercell(primitive, [[2, 1, 0], [0, 1, 0], [0, 0, 1]])
    turned = cubic.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    turned.translate([0.3, 0.1, 0.2])
    assert groups(primitive, cubic, skewed, turned) == [[0, 1, 2, 3]]


def test_cells_of_one_size_are_no_group():
    assert groups(bulk("Si", a=5.43), bulk("Si", a=5.43)) == []


def test_other_volumes_orders_and_rattled_cells_are_other_crystals():
    rock = bulk("NaCl", "rocksalt", a=5.6)
    blende = bulk("NaCl", "zincblende", a=5.6, cubic=True)
    strained = bulk("NaCl", "rocksalt", a=5.65, cubic=True)
    rattled = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    rattled.rattle(0.05, seed=1)
    assert groups(rock, blende, strained, rattled) == []
    assert groups(rock, rattled, bulk("NaCl", "rocksalt", a=5.6, cubic=True)) == [[0, 2]]


def test_a_hundred_rattled_cells_of_two_sizes_take_no_time_that_one_notices():
    rng = np.random.default_rng(0)
    cells = []
    for n in range(100):
        cell = bulk("Si", a=5.43, cubic=bool(n % 2))
        cell.positions += rng.normal(scale=0.05, size=cell.positions.shape)
        cells.append(cell)
    assert groups(*cells) == []
