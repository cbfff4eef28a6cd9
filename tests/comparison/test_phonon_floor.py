"""The noise floor: one method against itself, where the records are there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from forcebase.actions.models import add_model
from forcebase.actions.phonons import compute_phonon
from forcebase.comparison import compare_phonons
from forcebase.comparison.phonon_floor import largest_floors, phonon_floors
from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
from forcebase.models.sources import Source
from forcebase.records import Structure

NOISE = 1.002
"""Frequencies that one method has with other displacements, over those it had."""


def stiffer(crystal, factor):
    return replace(crystal, force_constants=factor**2 * crystal.force_constants)


def test_without_a_second_phonon_there_is_no_floor(db, dft_phonon, dft_crystal, store_phonon):
    model = store_phonon(stiffer(dft_crystal, 1.1))
    store_phonon(stiffer(dft_crystal, 1.2), weights="another model")
    found = compare_phonons(db, model, dft_phonon)
    assert phonon_floors(db, found) == []
    assert largest_floors([]) == {}


def test_another_displacement_gives_the_floor_of_its_side(
    db, dft_phonon, dft_crystal, store_phonon
):
    noisy = stiffer(dft_crystal, 1.1 * NOISE)
    model = store_phonon(stiffer(dft_crystal, 1.1))
    store_phonon(noisy, {"displacement_A": 0.01, "moved_A": 1e-5})
    store_phonon(noisy, {"displacement_A": 0.03, "fmax_eV_per_A": 1.0})  # not the same otherwise
    found = compare_phonons(db, model, dft_phonon)
    (floor,) = phonon_floors(db, found)
    assert (floor.side, floor.varied, floor.values) == (
        "model",
        "displacement",
        ("0.02 A", "0.01 A"),
    )
    assert floor.validation.on["allowed"] == {"displacement": ["0.01 A", "0.02 A"]}
    largest = largest_floors([floor])
    # The error is 0.1 of the frequencies, the floor 0.002 of frequencies that are 1.1 times them.
    ratio = 1.1 * (NOISE - 1) / 0.1
    assert largest["band_mae_THz"] == pytest.approx(ratio * found.metrics["band_mae_THz"], rel=1e-3)
    assert largest["force_constants.relative"] == pytest.approx(NOISE**2 - 1, rel=1e-6)
    assert largest["dos_distance.elements_THz.Se"] > 0
    # Kept like any comparison, and the comparison itself does not change.
    assert db.validations.count() == 2
    assert compare_phonons(db, model, dft_phonon).id == found.id


def test_a_phonon_of_other_masses_is_no_floor(db, dft_phonon, dft_crystal, store_phonon):
    model = store_phonon(stiffer(dft_crystal, 1.1))
    heavy = replace(stiffer(dft_crystal, 1.1 * NOISE), masses=1.01 * dft_crystal.masses)
    store_phonon(heavy, {"displacement_A": 0.01})
    assert phonon_floors(db, compare_phonons(db, model, dft_phonon)) == []


def test_analytic_derivatives_are_displacements_of_zero(db, dft_phonon, dft_crystal, store_phonon):
    model = store_phonon(dft_crystal, {"method": "analytic"})
    store_phonon(stiffer(dft_crystal, NOISE), {"method": "displacements", "displacement_A": 0.05})
    (floor,) = phonon_floors(db, compare_phonons(db, model, dft_phonon))
    assert floor.values == ("0 A", "0.05 A")


def test_another_precision_of_one_model(db, dft_phonon, dft_crystal, store_phonon):
    double = store_phonon(dft_crystal)
    store_phonon(stiffer(dft_crystal, NOISE), dtype="float32")
    store_phonon(stiffer(dft_crystal, 1.3), {"displacement_A": 0.01}, dtype="float32")
    (floor,) = phonon_floors(db, compare_phonons(db, double, dft_phonon))
    assert (floor.varied, floor.values) == ("precision", ("float64", "float32"))
    assert floor.as_dict()["metrics"]["force_constants"]["relative"] == pytest.approx(
        NOISE**2 - 1, rel=1e-6
    )


def test_other_calculators_without_weights_are_no_precision_of_this_one(
    db, dft_phonon, dft_crystal, store_phonon
):
    one = store_phonon(dft_crystal, arguments={"callable": "a:A"})
    store_phonon(dft_crystal, arguments={"callable": "b:B"}, dtype="float32")
    assert phonon_floors(db, compare_phonons(db, one, dft_phonon)) == []


def test_the_precision_is_told_by_any_two_of_the_method(db, dft_phonon, dft_crystal, store_phonon):
    """float32 has no analytic force constants, but displacements of both precisions."""
    analytic = store_phonon(dft_crystal, {"method": "analytic"})
    double = store_phonon(dft_crystal, {"method": "displacements"})
    single = store_phonon(stiffer(dft_crystal, NOISE), dtype="float32")
    floors = phonon_floors(db, compare_phonons(db, analytic, dft_phonon))
    assert [floor.varied for floor in floors] in (
        ["displacement", "precision"],
        ["precision", "displacement"],
    )
    (precision,) = [floor for floor in floors if floor.varied == "precision"]
    assert precision.validation.on["model_phonon"] == single.id
    assert precision.validation.on["reference_phonon"] == double.id


def test_the_floor_of_the_reference_is_found_too(db, dft_phonon, dft_crystal, store_phonon):
    first = store_phonon(dft_crystal)
    store_phonon(stiffer(dft_crystal, NOISE), {"displacement_A": 0.04})
    floors = phonon_floors(db, compare_phonons(db, dft_phonon, first))
    assert [floor.side for floor in floors] == ["reference"]


def test_a_real_method_set_up_twice_is_nearer_to_itself_than_its_floor(db):
    """Copper with EMT, as a cube of four atoms and turned, as a rhombohedron of one."""
    model = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=("Cu",)))
    cube = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    turned = bulk("Cu", a=3.58)
    turned.rotate(90, "x", rotate_cell=True)

    def phonon(atoms, supercell, length):
        structure = Structure.from_atoms(atoms)
        db.structures.add([structure])
        constants = ForceConstantsMaker(method="displacements", displacement=length)
        maker = PhononMaker(force_constants_maker=constants)
        return compute_phonon(db, model, structure, np.array(supercell).tolist(), maker)

    cubic = phonon(bulk("Cu", a=3.61, cubic=True), 2 * np.eye(3, dtype=int), 0.01)
    phonon(bulk("Cu", a=3.61, cubic=True), 2 * np.eye(3, dtype=int), 0.05)
    found = compare_phonons(db, cubic, phonon(turned, 2 * cube, 0.01))
    (floor,) = phonon_floors(db, found)
    assert floor.values == ("0.01 A", "0.05 A")
    assert found.metrics["force_constants"]["n_left_out"] == 0
    for name in ("band_max_THz", "dos_wasserstein_THz"):
        assert found.metrics[name] < 0.1 * floor.validation.metrics[name]
