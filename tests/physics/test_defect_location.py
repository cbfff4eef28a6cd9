"""Defects are found in all real cells, strained and rattled as they are, and in moved copies."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Structure

from forcebase.errors import InputError
from forcebase.physics.defect_location import locate_defect
from forcebase.physics.sampling import rattle, remove_site, strain

DATA = Path(__file__).parents[2] / "data"
UNIT_CELL = read(DATA / "wse2_gpaw" / "wse2_gpaw_unitcell.extxyz")


def vacancy(size: int, site: int) -> Atoms:
    return remove_site(UNIT_CELL.repeat((size, size, 1)), site)


def test_all_labelled_cells_are_told_apart():
    cells = read(DATA / "wse2_gpaw" / "wse2_gpaw_pbe.extxyz", ":")
    for atoms in cells:
        found = locate_defect(atoms, UNIT_CELL)
        if "vacancy" not in atoms.info["kind"]:
            assert found is None, atoms.info
            continue
        size = int(atoms.info["kind"][-1])
        assert found.repeats == (size, size, 1)
        assert len(found.removed) == 1
        assert UNIT_CELL.numbers[found.removed[0] % 3] == 34
        assert not found.swapped
        assert not found.added
        # Three W atoms are left around it, and the Se on the other side.
        distances = np.sort(_distances(atoms, found.centre))
        assert np.abs(distances[:3] - 2.54).max() < 0.4
        assert 2.8 < distances[3] < 3.9


def test_the_site_is_the_one_that_the_recipe_removed():
    for path in sorted((DATA / "wse2_gpaw_new").glob("*.json")):
        document = json.loads(path.read_text())
        atoms = Structure.from_dict(document["output"]["structure"]).to_ase_atoms()
        removed = document["metadata"]["forcebase"]["recipe"]["parameters"]["removed_site"]
        found = locate_defect(atoms, UNIT_CELL)
        assert (found.removed if found else ()) == (() if removed is None else (removed,)), path


@settings(max_examples=25, deadline=None)
@given(
    site=st.integers(0, 26),
    strains=st.tuples(*[st.floats(-0.03, 0.03)] * 2, st.floats(-0.015, 0.015)),
    shift=st.tuples(*[st.floats(-20, 20)] * 3),
    seed=st.integers(0, 99),
)
def test_strain_noise_shift_and_order_do_not_hide_it(site, strains, shift, seed):
    """The centre is checked, for after a large shift, site numbers are a convention."""
    random = np.random.default_rng(seed)
    perfect = UNIT_CELL.repeat((3, 3, 1))
    whole = strain(perfect, *strains)
    place = whole.positions[site] + shift
    atoms = rattle(strain(vacancy(3, site), *strains), 0.1, seed)
    atoms.positions += shift
    atoms = atoms[random.permutation(len(atoms))]
    atoms.wrap()
    found = locate_defect(atoms, UNIT_CELL)
    assert len(found.removed) == 1
    assert perfect.numbers[found.removed[0]] == perfect.numbers[site]
    gap = Atoms("X2", [place, found.centre @ atoms.cell.array], cell=atoms.cell, pbc=True)
    assert gap.get_distance(0, 1, mic=True) < 0.15


@pytest.mark.parametrize("height", [12.0, 16.0, 30.0])
def test_vacuum_of_any_thickness_and_a_layer_across_the_border(height):
    atoms = vacancy(3, 10)
    middle = atoms.positions[:, 2].mean()
    cell = atoms.cell.array
    cell[2, 2] = height
    atoms.set_cell(cell)
    atoms.positions[:, 2] -= middle
    atoms.wrap()
    assert locate_defect(atoms, UNIT_CELL).removed == (10,)
    pristine = UNIT_CELL.repeat((2, 2, 1))
    pristine.positions[:, 2] += 9.0
    assert locate_defect(pristine, UNIT_CELL) is None


def test_a_rotated_cell_is_the_same():
    atoms = vacancy(3, 10)
    atoms.rotate(37, "z", rotate_cell=True)
    assert locate_defect(atoms, UNIT_CELL).removed == (10,)


def test_swapped_and_added_atoms_and_two_vacancies():
    atoms = UNIT_CELL.repeat((4, 4, 1))
    atoms.symbols[21] = "Mo"
    found = locate_defect(atoms, UNIT_CELL)
    assert found.swapped == ((21, "Mo"),)
    np.testing.assert_allclose(found.centre, atoms.get_scaled_positions()[21], atol=1e-6)

    atoms = UNIT_CELL.repeat((4, 4, 1)) + Atoms("Se", [[5.0, 3.0, 12.0]])
    found = locate_defect(atoms, UNIT_CELL)
    assert (found.removed, found.swapped, found.added) == ((), (), (48,))
    np.testing.assert_allclose(found.centre @ atoms.cell.array, [5.0, 3.0, 12.0], atol=1e-6)

    both = UNIT_CELL.repeat((4, 4, 1))
    top, bottom = 25, 26
    middle = both.get_scaled_positions()[[top, bottom]].mean(axis=0)
    found = locate_defect(remove_site(remove_site(both, bottom), top), UNIT_CELL)
    assert found.removed == (top, bottom)
    np.testing.assert_allclose(found.centre, middle, atol=1e-6)


def test_elements_exchanged_are_a_shift_not_a_defect():
    """Boron nitride moved by a bond lies on its own sites, with the elements exchanged."""
    layer = Atoms("BN", [[0, 0, 8], [0, 1.45, 8]], cell=[2.51, 2.51, 16, 90, 90, 60], pbc=True)
    assert locate_defect(layer.repeat((3, 3, 1)), layer) is None
    moved = layer.repeat((3, 3, 1))
    moved.positions += moved.positions[1] - moved.positions[0]
    assert locate_defect(moved, layer) is None


def test_bulk_repeats_along_all_axes():
    host = bulk("NaCl", "rocksalt", a=5.64)
    atoms = rattle(remove_site(host.repeat((2, 3, 4)), 17), 0.05, 1)
    found = locate_defect(atoms, host)
    assert (found.repeats, found.removed) == ((2, 3, 4), (17,))


def test_a_large_strained_cell_has_the_repeats_of_its_atoms():
    """By its length alone, a 12x12 cell strained by 5 % might be a 13x13 cell."""
    atoms = strain(vacancy(12, 100), 0.05, 0.05, 0.0)
    found = locate_defect(atoms, UNIT_CELL)
    assert (found.repeats, found.removed) == ((12, 12, 1), (100,))


@pytest.mark.parametrize(
    ("atoms", "what"),
    [
        (bulk("Cu", cubic=True), "repeats no unit cell"),
        (strain(UNIT_CELL.repeat((2, 2, 1)), 0.1, 0.1, 0.0), "repeats no unit cell"),
        (rattle(UNIT_CELL.repeat((3, 3, 1)), 1.5, 0), "is not a supercell"),
    ],
)
def test_other_crystals_are_refused_with_numbers(atoms, what):
    with pytest.raises(InputError, match=what) as caught:
        locate_defect(atoms, UNIT_CELL)
    assert "unit cell" in caught.value.hint


def test_another_compound_in_the_same_lattice_is_no_defect():
    other = UNIT_CELL.repeat((2, 2, 1))
    other.symbols[other.symbols == "W"] = "Mo"
    with pytest.raises(InputError, match="4 sites another element"):
        locate_defect(other, UNIT_CELL)


def _distances(atoms: Atoms, centre: np.ndarray) -> np.ndarray:
    probe = atoms + Atoms("X", [centre @ atoms.cell.array])
    return probe.get_distances(len(atoms), range(len(atoms)), mic=True)
