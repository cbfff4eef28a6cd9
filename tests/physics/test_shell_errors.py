"""Errors put in by distance come out by distance, from real cells with and without a vacancy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.shell_errors import PRISTINE, ShellTally
from forcebase.physics.shells import Shells

DATA = Path(__file__).parents[2] / "data" / "wse2_gpaw"
UNIT_CELL = read(DATA / "wse2_gpaw_unitcell.extxyz")
SHELLS = Shells((3.0, 6.0))


@pytest.fixture(scope="module")
def cells():
    """Three 3x3 cells with a vacancy, two without of other sizes."""
    found = read(DATA / "wse2_gpaw_pbe.extxyz", ":")
    large = [atoms for atoms in found if atoms.info["kind"] == "Se-vacancy-3x3"]
    return large + [next(a for a in found if a.info["kind"] == f"pristine-{n}x{n}") for n in (1, 2)]


@pytest.fixture(scope="module")
def reference(cells):
    return Frames.from_atoms(
        cells,
        ids=[f"c{i}" for i in range(len(cells))],
        forces=[atoms.arrays["REF_forces"] for atoms in cells],
    )


def distances(atoms: Atoms) -> np.ndarray:
    """From the missing selenium, by hand: the perfect site 13, strained with the cell."""
    site = UNIT_CELL.repeat((3, 3, 1)).get_scaled_positions()[13]
    probe = atoms + Atoms("X", [site @ atoms.cell.array])
    return probe.get_distances(len(atoms), range(len(atoms)), mic=True)


def errors_by_shell(prediction: Frames, reference: Frames):
    """Added up a cell after another."""
    tally = ShellTally(UNIT_CELL, SHELLS)
    for i in range(len(reference)):
        tally.add(prediction.take([i]), reference.take([i]))
    return tally.errors()


def test_errors_of_each_shell_are_what_was_put_in(cells, reference):
    """1 meV/A near, 2 in between, 3 beyond, 5 in pristine cells, on each component."""
    errors = [1e-3 * (1 + SHELLS.of(distances(atoms))) for atoms in cells[:3]]
    errors += [np.full(len(atoms), 5e-3) for atoms in cells[3:]]
    off = np.concatenate(errors)[:, None]
    prediction = replace(reference, forces=reference.forces + off)
    found = errors_by_shell(prediction, reference)
    assert [row.shell for row in found] == ["≤ 3 Å", "3–6 Å", "> 6 Å", PRISTINE]
    for row, error in zip(found, (1, 2, 3, 5), strict=True):
        assert (row.forces.mae, row.forces.rmse) == pytest.approx((error, error)), row
        assert row.forces.n == 3 * row.n_atoms
        assert sum(part.n for part in row.by_element.values()) == row.forces.n
    assert [row.n_structures for row in found] == [3, 3, 3, 2]
    assert found[-1].n_atoms == 3 + 12
    assert sum(row.n_atoms for row in found[:-1]) == 3 * 26
    assert set(found[0].by_element) == {"W"}
    assert found[0].n_atoms == 9
    lengths = np.linalg.norm(reference.forces[-15:], axis=1)
    assert found[-1].mean_force == pytest.approx(1000 * lengths.mean())


def test_shells_that_hold_nothing_say_so(reference):
    pristine = reference.take([3, 4])
    found = errors_by_shell(pristine, pristine)
    for row in found[:-1]:
        assert (row.n_structures, row.n_atoms) == (0, 0)
        assert row.mean_force is row.forces is None
        assert row.by_element == {}
    assert found[-1].forces.max == 0.0


def test_forces_that_the_reference_lacks_are_left_out(reference):
    forces = reference.forces.copy()
    forces[:26] = np.nan
    found = errors_by_shell(reference, replace(reference, forces=forces))
    assert found[0].n_structures == 2
    assert sum(row.n_atoms for row in found) == 2 * 26 + 15


def test_other_crystals_and_unlike_sides_are_refused(reference):
    copper = Frames.from_atoms([bulk("Cu")], ids=["copper"])
    with pytest.raises(InputError, match="Structure copper: The cell of Cu repeats"):
        errors_by_shell(copper, copper)
    with pytest.raises(InputError, match="different structures"):
        errors_by_shell(reference.take([1, 0, 2, 3, 4]), reference)
