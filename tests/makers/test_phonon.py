from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read
from jobflow import Flow, job, run_locally
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.blob import Blob
from forcebase.digest import structure_digest
from forcebase.errors import CalculationError, ModelError
from forcebase.makers.phonon import PhononMaker
from forcebase.outputs import PhononOutput
from forcebase.physics.harmonic_crystal import HarmonicCrystal, sum_rule_error
from forcebase.physics.vibrations import gamma_frequencies

MATRIX = [[2, 0, 0], [0, 2, 0], [0, 0, 1]]
MAKER = PhononMaker(fmax=1e-4)


@job(data=[Blob])
def publish(output: dict) -> dict:
    return output


@pytest.fixture(scope="module")
def cell(data_folder):
    return read(data_folder / "wse2_gpaw_unitcell.extxyz")


def phonon(store, folder, model, atoms, maker=MAKER, matrix=MATRIX):
    """Run the job with the model as a reference; give (uuid, output)."""
    published = publish(model)
    structure = AseAtomsAdaptor.get_structure(atoms)
    made = maker.make(published.output, structure, matrix)
    responses = run_locally(
        Flow([published, made]),
        log=False,
        store=store,
        create_folders=True,
        root_dir=folder,
        raise_immediately=True,
    )
    return made.uuid, responses[made.uuid][1].output


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

    assert output["protocol"] == {**MAKER.protocol(), "n_displacements": 3}
    assert output["initial_structure"] == structure_digest(
        cell.numbers, cell.cell.array, cell.positions, cell.pbc
    )
    relaxation = output["relaxation"]
    assert relaxation["fixed_axes"] == [False, False, True]
    assert relaxation["max_force"] < MAKER.fmax
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
        given = AseAtomsAdaptor.get_structure(layer).as_dict()
        output = MAKER.make(quick_model.output, given, MATRIX).run(store).output
        assert Structure.from_dict(output["structure"]).pbc == pbc
        outputs.append(output["force_constants"].arrays()["force_constants"])
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-8)


def test_a_protocol_is_told_from_another():
    stored = {**PhononMaker().protocol(), "n_displacements": 3}
    assert PhononMaker(name="again").asked_for(stored)
    for other in (
        PhononMaker(displacement=0.01),
        PhononMaker(fmax=1e-4),
        PhononMaker(symmetrize=False),
    ):
        assert not other.asked_for(stored)
    assert not PhononMaker().asked_for({})


def test_more_steps_are_the_same_protocol():
    assert PhononMaker(max_steps=5).asked_for(PhononMaker().protocol())


def test_what_cannot_be_done_is_an_error_with_a_reason(quick_model, cell, db, tmp_path):
    with pytest.raises(ModelError, match="does not know Cu"):
        phonon(db.job_store, tmp_path, quick_model.output, bulk("Cu"))
    hasty = replace(MAKER, max_steps=1)
    strained = cell.copy()
    strained.set_cell(cell.cell.array * [[1.03], [1.03], [1.0]], scale_atoms=True)
    with pytest.raises(CalculationError, match="in 1 steps"):
        phonon(db.job_store, tmp_path, quick_model.output, strained, hasty)
