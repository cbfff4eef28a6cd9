"""Filling a report from a real database: the chain has no gap, and times are the records' own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.io import read, write

from forcebase.actions.main_job import DATA, MainJob, run_main_job
from forcebase.ingest.importing import import_paths
from forcebase.models.training_settings import QUICK
from forcebase.provenance.taint import set_taint
from forcebase.report.gathering import gather
from forcebase.report.main_result import MainResult, PhononResult

pytestmark = pytest.mark.training
EPOCHS = 8
"""So that the model relaxes WSe2 to WSe2, and its phonon can be compared."""


@pytest.fixture
def result(db, tmp_path):
    """Records of a main job with a model of seconds."""
    settings = replace(QUICK, epochs=EPOCHS)
    run_main_job(db, MainJob(data=(DATA / "wse2_gpaw",), settings=settings), tmp_path)
    ids = json.loads((tmp_path / "metrics.json").read_text())["records"]
    return MainResult(
        dataset=db.datasets.get(ids["dataset"]),
        reference=db.methods.get(ids["reference"]),
        model=db.methods.get(ids["model"]),
        model_name="quick",
        labels=db.validations.get(ids["labels"]),
        phonons=(
            PhononResult(
                reference=db.phonons.get(ids["reference_phonon"]),
                name="WSe2 in 3x3x1",
                phonon=db.phonons.get(ids["phonon"]),
                comparison=db.validations.get(ids["phonons"]),
            ),
        ),
    )


def test_a_report_is_filled_from_records_alone(db, result, tmp_path, data_folder):
    content = gather(db, result, {})
    _check_title(content)
    _check_chain(db, result, content)
    _check_that_what_is_missing_is_left_out(db, result)
    _check_times(db, content)
    _check_parity(result, content)
    _check_shells(content)
    _check_that_other_imports_do_not_count(db, result, content, tmp_path, data_folder)
    _check_that_what_is_stale_says_so(db, result, content)


def _check_title(content):
    assert content.title == "WSe2 monolayer: MACE quick against GPAW PBE"
    assert (content.names.reference, content.names.model) == ("GPAW PBE", "MACE")


def _check_that_what_is_missing_is_left_out(db, result):
    """Without comparisons the chain begins at what there is, and the reasons are told."""
    phonon = replace(result.phonons[0], comparison=None, reason="of unlike structures")
    none = replace(result, labels=None, labels_reason="a force is NaN", phonons=(phonon,))
    content = gather(db, none, {})
    assert content.missing == {
        "energies and forces": "a force is NaN",
        "phonons, WSe2 in 3x3x1": "of unlike structures",
    }
    assert {metric.name for metric in content.metrics} == {
        "lattice_constant_A",
        "reference_lattice_constant_A",
        "lattice_constant_error_A",
    }
    assert (content.parity, content.phonons, content.shells, content.timings) == (None, [], [], [])
    listed = {node.record for node in content.provenance}
    assert {parent for node in content.provenance for _, parent in node.parents} <= listed
    ids = (result.model.id, phonon.phonon.id, phonon.reference.id, result.dataset.id)
    assert listed >= set(ids)
    bare = replace(none, phonons=(replace(phonon, phonon=None),))
    assert gather(db, bare, {}).metrics == []


def _check_that_what_is_stale_says_so(db, result, content):
    assert not any("STALE" in node.title for node in content.provenance)
    member = db.members.one(dataset=result.dataset.id, split="train")
    set_taint(db, "calculations", member.calculation, "not converged")
    tainted = gather(db, result, {})
    stale = {node.record for node in tainted.provenance if "tainted: not converged" in node.title}
    assert {member.calculation, result.dataset.id, result.model.id, result.labels.id} <= stale
    assert result.phonons[0].reference.id not in stale


def _check_chain(db, result, content):
    listed = {node.record for node in content.provenance}
    assert len(listed) == len(content.provenance)
    assert {parent for node in content.provenance for _, parent in node.parents} <= listed
    assert {source for metric in content.metrics for source in metric.sources} <= listed
    assert {s for sources in content.figure_sources.values() for s in sources} <= listed
    members = db.members.raw.find({"dataset": result.dataset.id, "split": {"$ne": "dropped"}})
    assert {member["calculation"] for member in members} <= listed
    tested = db.members.raw.distinct("structure", {"dataset": result.dataset.id, "split": "test"})
    labels = {"method": result.model.id, "structure": {"$in": tested}}
    predicted = db.calculations.raw.distinct("_id", labels)
    assert predicted
    assert set(predicted) <= listed


def _check_times(db, content):
    for timing in content.timings:
        reference, model = (db.calculations.get(source) for source in timing.sources)
        assert timing.reference_seconds == reference.wall_time
        assert timing.model_seconds == model.wall_time
        assert reference.structure == model.structure
    assert len(content.timings) == len(content.parity.energies_reference)
    for step, activities in content.step_activities.items():
        seconds = [db.activities.raw.find_one({"_id": a})["wall_time"] for a in activities]
        assert seconds, step
        assert content.steps[step] == pytest.approx(sum(seconds))


def _check_parity(result, content):
    """The points drawn give the numbers of the validation record."""
    overall = dict(result.labels.metrics)["overall"]
    parity = content.parity
    energy = 1e3 * np.abs(parity.energies_model - parity.energies_reference).mean()
    force = 1e3 * np.abs(parity.forces_model - parity.forces_reference).mean()
    assert energy == pytest.approx(overall["energy"]["mae"])
    assert force == pytest.approx(overall["forces"]["mae"])


def _check_shells(content):
    """Each atom is in one shell or in a pristine cell, and their errors add up to the whole's."""
    n_atoms = sum(shell.n_atoms for shell in content.shells)
    assert n_atoms == len(content.parity.forces_model)
    errors = np.abs(content.parity.forces_model - content.parity.forces_reference)
    weighted = sum(shell.n_atoms * shell.mae for shell in content.shells) / n_atoms
    assert weighted == pytest.approx(1e3 * errors.mean())
    defects = [kind for kind in content.parity.kinds if "vacancy" in kind]
    assert content.shells[0].n_structures == len(defects)
    assert content.shells[-1].n_structures == len(content.parity.kinds) - len(defects)
    shown = {metric.name: metric.value for metric in content.metrics}
    assert shown["test_force_mae_shell_1_meV_per_A"] == content.shells[0].mae
    assert shown["test_force_mae_pristine_meV_per_A"] == content.shells[-1].mae


def _check_that_other_imports_do_not_count(db, result, content, tmp_path, data_folder):
    atoms = read(data_folder / "wse2_gpaw_pbe.extxyz", 0)
    atoms.info["REF_energy"] += 1e-3
    folder = tmp_path / "other"
    folder.mkdir()
    write(folder / "other.extxyz", atoms)
    keys = "{energy: REF_energy, forces: REF_forces, stress: REF_stress}"
    described = (data_folder / "method.yaml").read_text() + f"  other.extxyz:\n    keys: {keys}\n"
    (folder / "method.yaml").write_text(described)
    before = db.activities.raw.count_documents({"kind": "import"})
    assert not import_paths(db, [folder]).failed
    assert db.activities.raw.count_documents({"kind": "import"}) == before + 1
    assert gather(db, result, {}).steps["import"] == content.steps["import"]
