"""The defect study on a real model of seconds: computed once, found again, gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forcebase.actions.defect_report import study_defects
from forcebase.actions.defects import (
    compute_defect_phonons,
    defect_flow,
    defect_phonons,
    dft_counterpart,
    pristine_of,
    spectra_of_defect,
)
from forcebase.actions.flow_files import load_flow
from forcebase.actions.phonons import compute_phonon, find_relaxation
from forcebase.actions.running_here import run_here
from forcebase.database.crystals import crystal_of
from forcebase.database.publishing import publish_model
from forcebase.errors import InputError, ModelError, NotFoundError
from forcebase.ingest.importing import import_paths
from forcebase.ingest.outputs import model_batch
from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.physics.defect_spectra import defect_spectra
from forcebase.physics.harmonic_crystal import sum_rule_error, symmetry_error
from forcebase.physics.shells import Shells
from forcebase.records import Activity

MAKER = PhononMaker(relax_maker=RelaxMaker(fmax=1e-4))
TWO = [[2, 0, 0], [0, 2, 0], [0, 0, 1]]
THREE = [[3, 0, 0], [0, 3, 0], [0, 0, 1]]
SHELLS = Shells((3.0, 4.5))
FLOW = Path(__file__).parents[1] / "flows" / "wse2_vacancy.py"


@pytest.fixture
def study(db, quick_model, data_folder, imported):
    """A database with the unit cell, DFT phonons and the quick model: (db, model, unit cell)."""
    import_paths(
        db, [data_folder / "wse2_gpaw_unitcell.extxyz", data_folder.parent / "wse2_gpaw_vacancy"]
    )
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    output = {**quick_model.output, "dataset": None, "dataset_job": None}
    batch = model_batch(db, output)
    batch.write(db, Activity(id="training:1", kind="job", name="train"))
    db.names.name("quick", "methods", batch.methods[0].id)
    return db, db.require_model("quick"), db.require_structure("wse2-unit-cell")


def test_both_phonons_are_records_with_what_they_are_of(study):
    db, model, unit_cell = study
    found = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", MAKER)
    assert found.pristine.defect == {}
    assert found.pristine.initial_structure == unit_cell.id
    defect = found.defective.defect
    assert (defect["name"], defect["host"]) == ("v_Se", found.pristine.structure)
    assert found.defective.formula == "Se7W4"
    crystal = crystal_of(db, found.defective)
    assert crystal.force_constants.shape == (11, 11, 3, 3)
    assert sum_rule_error(crystal) < 1e-8
    assert symmetry_error(crystal) < 1e-8
    relaxed = db.structures.get(found.defective.structure)
    initial = db.structures.get(found.defective.initial_structure)
    assert relaxed.family == initial.family == unit_cell.family
    assert relaxed.kind == "v_Se-2x2"
    assert initial.recipe["parent"] == found.pristine.structure
    assert dict(initial.defect) == dict(defect)
    assert set(initial.recipe["parameters"]) == {"supercell_matrix"}
    assert (relaxed.defect, unit_cell.defect) == (None, None)
    assert relaxed.to_atoms().cell.lengths()[2] == unit_cell.to_atoms().cell.lengths()[2]
    labels = db.calculations.one(structure=relaxed.id, method=model.id)
    assert labels.energy == pytest.approx(found.defective.relaxation["energy"])
    assert pristine_of(db, found.defective).id == found.pristine.id


def test_what_was_computed_is_not_computed_again(study):
    db, model, unit_cell = study
    first = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", MAKER)
    jobs = db.activities.count(kind="job")
    again = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", MAKER)
    assert (again.pristine.id, again.defective.id) == (first.pristine.id, first.defective.id)
    assert db.activities.count(kind="job") == jobs
    assert not defect_flow(db, model, unit_cell, [TWO], "v_Se", MAKER).jobs
    flow = defect_flow(db, model, unit_cell, [TWO, THREE], "v_Se", MAKER)
    assert {job.name for job in _jobs(flow)} == {
        "force constants pristine 3x3x1",
        "defect cell",
        "relax v_Se 3x3x1",
        "force constants v_Se 3x3x1",
    }


def test_an_interrupted_run_goes_on_after_its_last_finished_job(study, monkeypatch):
    """Stopped, as by Ctrl-C, in the defect's force constants: all before is kept and used."""
    db, model, unit_cell = study
    import forcebase.makers.phonon as phonon_module

    real = phonon_module.compute_force_constants

    def interrupted(loaded, atoms, *args, **kwargs):
        if len(atoms) == 11:
            raise KeyboardInterrupt
        return real(loaded, atoms, *args, **kwargs)

    monkeypatch.setattr(phonon_module, "compute_force_constants", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", MAKER)
    assert db.phonons.count(method=model.id) == 1
    monkeypatch.undo()
    flow = defect_flow(db, model, unit_cell, [TWO], "v_Se", MAKER)
    assert {job.name for job in _jobs(flow)} == {"defect cell", "force constants v_Se 2x2x1"}
    run_here(db, flow)
    assert db.phonons.count({"defect.name": "v_Se"}, method=model.id) == 1


def test_more_steps_go_on_from_where_a_relaxation_stopped(study):
    db, model, unit_cell = study
    hasty = replace(MAKER, relax_maker=RelaxMaker(fmax=1e-6, max_steps=1))
    marked = compute_phonon(db, model, unit_cell, TWO, hasty)
    assert "did not reach 1e-06" in marked.findings[0]
    assert compute_phonon(db, model, unit_cell, TWO, hasty).id == marked.id
    assert find_relaxation(db, model, unit_cell.id, hasty) is None
    assert find_relaxation(db, model, unit_cell.id, hasty, converged=False)
    patient = replace(MAKER, relax_maker=RelaxMaker(fmax=1e-6))
    done = compute_phonon(db, model, unit_cell, TWO, patient)
    assert done.relaxation["converged"]
    assert done.initial_structure == unit_cell.id
    assert compute_phonon(db, model, unit_cell, TWO, hasty).id == done.id
    db.phonons.raw.insert_one({**db.phonons.raw.find_one({"_id": marked.id}), "_id": "0" * 64})
    assert compute_phonon(db, model, unit_cell, TWO, hasty).id == done.id  # whichever comes first


def test_local_spectra_follow_from_the_records_alone(study, tmp_path):
    db, model, unit_cell = study
    found = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", MAKER)
    spectra = spectra_of_defect(db, found.defective, SHELLS, n_path=12)
    assert spectra.size == "2x2"
    assert len(spectra.perfect) == 12
    grid = spectra.dos.frequencies
    assert np.trapezoid(spectra.dos.total, grid) == pytest.approx(33, rel=1e-3)
    assert np.trapezoid(spectra.perfect_dos.total, grid) == pytest.approx(36, rel=1e-3)
    shells = [spectra.dos.of(mask) for mask in spectra.groups.by_shell().values()]
    np.testing.assert_allclose(sum(shells), spectra.dos.total, atol=1e-9)
    # The perfect crystal has the missing atom at the very place.
    assert spectra.groups.distance.min() > 1.0
    assert spectra.perfect_groups.distance.min() < 0.05
    np.testing.assert_allclose(spectra.bands.weights.sum(axis=2), 1.0)
    assert "too small" in spectra.findings[0]

    reference = dft_counterpart(db, found.defective)
    assert reference.method_class == "dft"
    study_found = study_defects(db, [found.defective], SHELLS, with_bands=False)
    numbers = json.loads(json.dumps(study_found.as_dict()))["supercells"][0]
    assert numbers["reference"]["phonon"] == reference.id
    assert numbers["reference"]["gamma_mae_THz"] > 0
    assert set(numbers["reference"]["shells_wasserstein_THz"]) <= {"≤ 3 Å", "3–4.5 Å", "> 4.5 Å"}


def test_dft_held_to_itself_has_no_error(study):
    db, _, _ = study
    dft = db.phonons.one({"defect.name": "v_Se"}, method_class="dft")
    spectra = spectra_of_defect(db, dft, SHELLS, n_path=None)
    from forcebase.physics.defect_comparison import compare_defect_spectra

    errors = compare_defect_spectra(spectra, spectra)
    assert errors.gamma_mae == errors.total.wasserstein == 0
    with pytest.raises(InputError, match="other cells or shells"):
        compare_defect_spectra(spectra, spectra_of_defect(db, dft, Shells((2.0,)), n_path=None))


def test_a_flow_file_computes_the_supercells_it_is_given(study):
    db, model, _ = study
    settings = {"model": "quick", "sizes": "[2]", "fmax": "1e-4", "tolerance": "1e-6"}
    report = run_here(db, load_flow(db, FLOW, settings))
    assert not report.failed
    phonon = db.phonons.one({"defect.name": "v_Se"}, method=model.id)
    assert phonon.protocol["tolerance_eV_per_A2"] == 1e-6
    again = load_flow(db, FLOW, settings)
    assert not again.jobs
    assert run_here(db, again).jobs == 0


@pytest.mark.parametrize(
    ("defect", "matrix", "message"),
    [
        ("v_Mo", TWO, "no Mo"),
        ("remove:99", TWO, "no site 99"),
        ("v_Se", [[2, 1, 0], [0, 2, 0], [0, 0, 1]], "own vectors"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_runs(study, defect, matrix, message):
    db, model, unit_cell = study
    with pytest.raises(InputError, match=message):
        compute_defect_phonons(db, model, unit_cell, matrix, defect, MAKER)
    assert db.phonons.count(method=model.id) == 0


def test_an_element_that_the_model_does_not_know_is_named_before_anything_runs(study):
    db, model, unit_cell = study
    with pytest.raises(ModelError, match="does not know Mo; it knows Se, W"):
        compute_defect_phonons(db, model, unit_cell, TWO, "Mo_W", MAKER)
    assert db.phonons.count(method=model.id) == 0


def test_a_pristine_phonon_is_no_defects(study):
    db, model, unit_cell = study
    perfect = compute_phonon(db, model, unit_cell, TWO, MAKER)
    for of_defect in (pristine_of, dft_counterpart):
        with pytest.raises(InputError, match="perfect crystal"):
            of_defect(db, perfect)
    with pytest.raises(InputError, match="perfect crystal"):
        study_defects(db, [perfect], SHELLS)
    dft = db.phonons.one({"defect.name": "v_Se"}, method_class="dft")
    db.phonons.raw.delete_many({"defect.name": {"$exists": False}, "method_class": "dft"})
    with pytest.raises(NotFoundError, match="no phonon of the perfect crystal"):
        pristine_of(db, dft)


def test_a_study_takes_one_defect_and_the_best_of_each_supercell(study, tmp_path):
    db, model, unit_cell = study
    with pytest.raises(NotFoundError, match="no phonons of a defect"):
        defect_phonons(db, model)
    hasty = replace(MAKER, relax_maker=RelaxMaker(fmax=1e-4, max_steps=1))
    rough = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", hasty).defective
    assert "did not reach" in rough.findings[0]
    assert [phonon.id for phonon in defect_phonons(db, model)] == [rough.id]
    good = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", MAKER).defective
    assert [phonon.id for phonon in defect_phonons(db, model)] == [good.id]
    both = study_defects(db, [rough, good], SHELLS, with_bands=False)
    written = both.write(tmp_path)
    assert len(set(written)) == len(written)
    assert sum(path.suffix == ".csv" for path in written) == 2
    compute_defect_phonons(db, model, unit_cell, TWO, "v_W", MAKER)
    with pytest.raises(InputError, match="2 defects: v_Se, v_W"):
        defect_phonons(db, model)
    assert [phonon.id for phonon in defect_phonons(db, model, "v_Se")] == [good.id]


def test_a_small_cell_that_relaxes_by_far_has_its_spectra(study):
    """A vacancy in 2x2, its lattice shrunk by a tenth, is still of 2x2 and not of 3x3."""
    db, _, _ = study
    dft = db.phonons.one({"defect.name": "v_Se"}, method_class="dft")
    crystal, perfect = crystal_of(db, dft), crystal_of(db, pristine_of(db, dft))
    shrunk = replace(crystal, cell=crystal.cell * 0.9, positions=crystal.positions * 0.9)
    centre = np.array(dft.defect["centre"])
    found = defect_spectra(shrunk, perfect, TWO, centre, shells=SHELLS, n_path=None)
    assert len(found.atoms) == 11
    assert any("power 1.05" in finding for finding in found.findings)
    with pytest.raises(InputError, match="not \\[3, 3, 1\\] times"):
        defect_spectra(crystal, perfect, THREE, centre, shells=SHELLS, n_path=None)


def test_displacements_are_the_way_of_other_models(study):
    """The same interface and record, whether derivatives are analytic or finite."""
    db, model, unit_cell = study
    maker = replace(MAKER, force_constants_maker=ForceConstantsMaker(method="displacements"))
    found = compute_defect_phonons(db, model, unit_cell, TWO, "v_Se", maker)
    assert found.defective.protocol["n_displacements"] == 16
    assert publish_model(db, model).uuid.startswith("published")


def _jobs(flow):
    return [job for job, _ in flow.iterflow()]
