"""Units and signs of stresses, told from the energies of neighbouring cells."""

from __future__ import annotations

import numpy as np
import pytest
from ase.io import read

from forcebase.physics.stress_sanity import LabelledCell, stress_doubt, stress_works


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
    left, work = np.array(list(stress_works(cells))).T
    assert left @ work / (work @ work) == pytest.approx(1.0, abs=0.1)
    assert stress_doubt(cells) == ""


@pytest.mark.parametrize(
    "factor", [-1.0, 160.21766, -160.21766, 1602.1766, 0.00624151, -0.00624151]
)
def test_other_units_and_signs_are_noticed(cells, factor):
    assert stress_doubt(times(cells, factor))


def test_one_cell_says_nothing_and_none_neither(cells):
    assert stress_doubt(cells[:1]) == stress_doubt(times(cells[:1], -1.0)) == ""
    assert stress_doubt([]) == ""


def test_two_cells_that_are_plainly_wrong_are_enough(cells):
    pairs = [
        [one, other]
        for i, one in enumerate(cells)
        for other in cells[i + 1 :]
        for left, work in stress_works([one, other])
        if abs(left) > 0.1 and abs(left / work - 1) < 0.1
    ]
    assert len(pairs) > 10
    for pair in pairs:
        assert stress_doubt(pair) == ""
        assert "positive under compression" in stress_doubt(times(pair, -1.0))
        assert "GPa" in stress_doubt(times(pair, 160.21766))


def test_no_crystals_are_all_without_stress(cells):
    assert "exactly zero" in stress_doubt(times(cells[:2], 0.0))
    assert stress_doubt(times(cells[:1], 0.0)) == ""
