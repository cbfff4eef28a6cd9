from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from jobflow import Flow, job, run_locally
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from small_phonons import gamma_frequencies

from forcebase.blob import Blob
from forcebase.digest import structure_digest
from forcebase.errors import InputError, ModelError
from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.outputs import PhononOutput
from forcebase.physics.harmonic_crystal import HarmonicCrystal, sum_rule_error

MATRIX = [[2, 0, 0], [0, 2, 0], [0, 0, 1]]
MAKER = PhononMaker(relax_maker=RelaxMaker(fmax=1e-4))


@job(data=[Blob])
def publish(output: dict) -> dict:
    return output


@pytest.fixture(scope="module")
def cell(data_folder):
    return read(data_folder / "wse2_gpaw_unitcell.extxyz")


def phonon(store, folder, model, atoms, maker=MAKER, matrix=MATRIX, **known):
    """Run the flow with the model as a reference; give (uuid of the last job, its output)."""
    published = publish(model)
    structure = AseAtomsAdaptor.get_structure(atoms)
    made = maker.make(published.output, structure, matrix, **known)
    responses = run_locally(
        Flow([published, made]),
        log=False,
        store=store,
        create_folders=True,
        root_dir=folder,
        raise_immediately=True,
    )
    last = made.job_uuids[-1]
    return last, responses[last][1].output


def crystal_of(output: PhononOutput) -> HarmonicCrystal:
    unit = AseAtomsAdaptor.get_atoms(Structure.from_dict(output["structure"]))
    return HarmonicCrystal(
        numbers=unit.numbers,
        cell=unit.cell.array,
        positions=unit.positions,
        masses=unit.get_masses(),
        supercell_matrix=np.array(output["supercell_matrix"]),
        primitive_matrix=np.array(output["primitive_matrix"]),
        force_constants=output["force_constants"].arrays()["force_constants"],
    )


def test_the_layer_has_nine_modes_of_which_three_are_sound(quick_model, cell, db, tmp_path):
    uuid, output = phonon(db.job_store, tmp_path, quick_model.output, cell)
    assert set(output) == set(PhononOutput.__annotations__)
    crystal = crystal_of(output)
    frequencies = gamma_frequencies(crystal)
    assert frequencies.shape == (9,)
    assert np.sort(np.abs(frequencies))[:3].max() < 0.01
    assert np.sort(np.abs(frequencies))[3] > 0.1
    assert sum_rule_error(crystal) < 1e-8

    protocol = output["protocol"]
    assert MAKER.asked_for(protocol)
    assert (protocol["method"], protocol["n_displacements"]) == ("analytic", 0)
    assert protocol["check"]["row_error"] < 1e-8
    assert protocol["sum_rule_error_eV_per_A2"] < 1e-8
    assert protocol["symmetry_error_eV_per_A2"] < 1e-8
    assert output["initial_structure"] == structure_digest(
        cell.numbers, cell.cell.array, cell.positions, cell.pbc
    )
    relaxation = output["relaxation"]
    assert relaxation["fixed_axes"] == [False, False, True]
    assert relaxation["max_force"] < 1e-4
    assert relaxation["converged"]
    assert np.abs(np.array(relaxation["stress"])[[0, 1, 5]]).max() < 1e-5
    relaxed = Structure.from_dict(output["structure"])
    assert relaxed.lattice.c == cell.cell.lengths()[2]

    raw = db.job_store.docs_store.query_one({"uuid": uuid})
    assert raw["output"]["force_constants"]["store"] == "data"
    assert len(str(raw)) < 10_000


def test_a_layer_that_is_not_periodic_has_the_same_phonon(quick_model, cell, store, tmp_path):
    outputs = []
    for pbc in ((True, True, True), (True, True, False)):
        layer = cell.copy()
        layer.pbc = pbc
        _, output = phonon(store, tmp_path, quick_model.output, layer)
        assert Structure.from_dict(output["structure"]).pbc == pbc
        outputs.append(output["force_constants"].arrays()["force_constants"])
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-8)


def test_displacements_give_the_analytic_force_constants(quick_model, cell, store, tmp_path):
    """Up to the third derivatives: a central difference errs with the square of the step."""
    found = {}
    for method in ("analytic", "displacements"):
        maker = replace(
            MAKER, force_constants_maker=ForceConstantsMaker(method=method, displacement=0.01)
        )
        _, output = phonon(store, tmp_path, quick_model.output, cell, maker)
        assert output["protocol"]["method"] == method
        found[method] = output["force_constants"].arrays()["force_constants"]
    scale = np.abs(found["analytic"]).max()
    difference = np.abs(found["analytic"] - found["displacements"]).max()
    assert 0 < difference < 1e-3 * scale


def test_a_protocol_is_told_from_another():
    stored = {**PhononMaker().protocol(), "method": "analytic", "n_displacements": 0}
    assert PhononMaker(name="again").asked_for(stored)
    for other in (
        ForceConstantsMaker(displacement=0.01),
        ForceConstantsMaker(tolerance=1e-4),
        ForceConstantsMaker(method="displacements"),
        ForceConstantsMaker(symmetrize=False),
    ):
        assert not PhononMaker(force_constants_maker=other).asked_for(stored)
    assert not PhononMaker(relax_maker=RelaxMaker(fmax=1e-4)).asked_for(stored)
    assert not PhononMaker().asked_for({})


@pytest.mark.parametrize("wrong", [{"fmax": 0}, {"fmax": -1e-5}, {"max_steps": 0}])
def test_a_relaxation_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match="cannot be"):
        RelaxMaker(**wrong)


def test_more_steps_are_the_same_protocol():
    assert PhononMaker(relax_maker=RelaxMaker(max_steps=5)).asked_for(PhononMaker().protocol())


def test_an_element_that_the_model_does_not_know_is_an_error(quick_model, store, tmp_path):
    with pytest.raises(ModelError, match="does not know Cu"):
        phonon(store, tmp_path, quick_model.output, bulk("Cu"))


def test_a_relaxation_that_stops_early_is_marked_and_gone_on_from(
    quick_model, cell, store, tmp_path
):
    strained = cell.copy()
    strained.set_cell(cell.cell.array * [[1.03], [1.03], [1.0]], scale_atoms=True)
    hasty = replace(MAKER, relax_maker=RelaxMaker(fmax=1e-4, max_steps=1))
    _, output = phonon(store, tmp_path, quick_model.output, strained, hasty)
    assert not output["relaxation"]["converged"]
    assert "did not reach 0.0001 eV/angstrom in 1 steps" in output["findings"][0]
    assert output["force_constants"].arrays()["force_constants"].shape == (3, 12, 3, 3)

    relaxation = RelaxMaker(fmax=1e-4).make(quick_model.output, _structure(strained)).run(store)
    begun = RelaxMaker(fmax=1e-4, max_steps=3).make(quick_model.output, _structure(strained))
    half_way = begun.run(store).output
    onward = RelaxMaker(fmax=1e-4).make(quick_model.output, _structure(strained), half_way)
    output = onward.run(store).output
    assert output["relaxation"]["converged"]
    assert output["initial_structure"] == half_way["initial_structure"]
    assert output["relaxation"]["steps"] <= relaxation.output["relaxation"]["steps"]
    assert output["relaxation"]["energy"] == pytest.approx(
        relaxation.output["relaxation"]["energy"], abs=1e-6
    )


def _structure(atoms):
    return AseAtomsAdaptor.get_structure(atoms)
