"""What is taken back is gone without a trace but the note of it; what others need stays."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from tests.ingest.test_collect import put

from forcebase.actions.datasets import build_dataset
from forcebase.actions.models import add_model
from forcebase.actions.phonons import compute_phonon
from forcebase.comparison import compare
from forcebase.database.acts import FORGETTING, announce
from forcebase.database.lease import held
from forcebase.errors import DatabaseError, InputError, NotFoundError
from forcebase.ingest.batch import Batch
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.integrity import forgetting
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.forgetting import forget, plan_forgetting
from forcebase.integrity.verify import verify
from forcebase.models.sources import Source
from forcebase.provenance.history import history
from forcebase.provenance.subject import Subject, find_subject
from forcebase.provenance.taint import set_taint
from forcebase.records import Activity, Calculation, ModelMethod


def sizes(db, *without):
    names = set(db.raw.list_collection_names()) - {"activities", "journal", *without}
    return {name: n for name in sorted(names) if (n := db.raw[name].count_documents({}))}


def act_of(db, name):
    return Subject("activities", next(a.id for a in db.activities.find() if a.name == name))


@pytest.fixture
def two_files(db, data_folder):
    """The unit cell and the rattled cells, of one DFT set-up, and what there was before them."""
    import_paths(db, [data_folder / "wse2_gpaw_unitcell.extxyz"])
    before = sizes(db)
    raw = ImportOptions(keep_raw=True)
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"], options=raw)
    return db, before


def test_an_import_goes_with_its_records_logs_and_raw_file(two_files):
    db, before = two_files
    subject = act_of(db, "wse2_gpaw_pbe.extxyz")
    n_blobs = db.raw["blobs.files"].count_documents({})
    plan = plan_forgetting(db, subject)
    assert {name: len(ids) for name, ids in plan.records.items()} == {
        "calculations": 68,
        "structures": 68,
    }
    assert sizes(db) != before, "a plan changes nothing"
    found = forget(db, subject)
    assert len(found.blobs) == n_blobs
    assert found.n_bytes > 100_000
    assert sizes(db) == before
    assert verify(db, models=False).is_sound
    assert db.activities.raw.find_one({"_id": subject.record}) is None


def test_what_was_forgotten_can_be_imported_again(two_files, data_folder):
    db, _ = two_files
    whole = sizes(db, "blobs.files", "blobs.chunks")
    forget(db, act_of(db, "wse2_gpaw_pbe.extxyz"))
    report = import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    assert report.added["calculations"] == 68
    assert sizes(db, "blobs.files", "blobs.chunks") == whole


def test_a_set_up_that_others_use_stays_with_the_act_that_first_named_it(two_files):
    db, _ = two_files
    found = forget(db, act_of(db, "wse2_gpaw_unitcell.extxyz"))
    assert {name: len(ids) for name, ids in found.kept.items()} == {"methods": 1}
    assert set(found.records) == {"calculations", "structures"}
    assert found.activity is None
    assert db.methods.count() == 1
    assert db.raw["labels"].count_documents({}) == 0, "its tag went with it"
    assert verify(db, models=False).is_sound


def test_what_only_others_use_is_refused_with_the_command_that_shows_them(two_files):
    db, _ = two_files
    act = act_of(db, "wse2_gpaw_unitcell.extxyz")
    forget(db, act)
    with pytest.raises(InputError, match="Others depend on all") as refused:
        forget(db, act)
    assert f"forcebase trace {act.record[:10]} --down" in refused.value.hint


def test_a_member_of_a_dataset_stays_and_so_does_its_import(two_files):
    db, _ = two_files
    dataset = build_dataset(db, "d", {"n_atoms": [3, 12]})
    before = sizes(db)
    member = db.members.one(split="train").calculation
    for subject in (Subject("calculations", member), act_of(db, "wse2_gpaw_pbe.extxyz")):
        with pytest.raises(InputError, match=f"datasets {dataset.id[:10]} depends on"):
            forget(db, subject)
    assert sizes(db) == before
    forget(db, Subject("datasets", dataset.id))
    assert db.members.count() == db.datasets.count() == 0
    forget(db, Subject("calculations", member))
    assert verify(db, models=False).is_sound


def test_what_a_comparison_on_a_query_took_is_found_in_its_list(two_files):
    db, _ = two_files
    dft = db.methods.one()
    model = ModelMethod(kind="MACE", weights="a" * 64, dtype="float64", elements=["Se", "W"])
    used, spare = db.calculations.find(kind="pristine-1x1")[:2]
    structure = db.structures.get(used.structure)
    zero = np.zeros((len(structure.numbers), 3))
    label = Calculation.of(structure, model.sealed(), energy=-1.0, forces=zero)
    act = Activity(id="predict", kind="import", name="predict")
    Batch(methods=[model], calculations=[label]).write(db, act)
    comparison = compare(db, model.id, dft.id).validation
    for record in (used.id, label.id):
        with pytest.raises(InputError, match=f"validations {comparison.id[:10]}"):
            forget(db, Subject("calculations", record))
    forget(db, Subject("calculations", spare.id))
    forget(db, Subject("validations", comparison.id))
    assert comparison.inputs not in db.blobs
    forget(db, Subject("calculations", used.id))


def test_names_and_taints_go_with_a_record(two_files):
    db, _ = two_files
    calculation = db.calculations.one(kind="pristine-3x3")
    db.names.name("bad", "calculations", calculation.id)
    set_taint(db, "calculations", calculation.id, "wrong spin")
    forget(db, find_subject(db, "bad"))
    assert db.raw["labels"].count_documents({"record": calculation.id}) == 0
    assert db.taints.count() == 0
    assert verify(db, models=False).is_sound
    written = db.activities.get(calculation.provenance.activity).run.written
    assert written["calculations"]["n"] == 67


def test_a_job_goes_with_its_output_and_does_not_come_back(db, data_folder):
    path = min((data_folder.parent / "wse2_gpaw_new").glob("*.json"))
    job = json.loads(path.read_text())
    put(db, job["output"], "static", job["metadata"])
    collect(db)
    activity = db.activities.one(kind="job")
    forget(db, Subject("activities", activity.id))
    assert db.raw["outputs"].count_documents({}) == 0
    assert collect(db).added == {}
    assert sizes(db, "meta") == {}
    assert verify(db, models=False).is_sound


EMT_METHOD = """\
method: {code: ase, functional: EMT, basis: {type: none}, pseudopotentials: {type: none},
         smearing: {type: none}, spin: none, dispersion: none, spin_orbit: false}
files: {cell.extxyz: {tags: [cell]}}
"""


def test_a_job_that_found_all_there_is_read_once_after_something_was_forgotten(db, data_folder):
    first, second = sorted((data_folder.parent / "wse2_gpaw_new").glob("*.json"))[:2]
    for path, n in ((first, 2), (second, 1)):
        job = json.loads(path.read_text())
        for _ in range(n):
            put(db, job["output"], "static", job["metadata"])
    assert collect(db).jobs == 3
    assert [a.run.written for a in db.activities.find(kind="job")].count({}) == 1
    [other] = [a for a in db.activities.find(kind="job") if len(a.run.written) and a.n_records][-1:]
    forget(db, Subject("activities", other.id))
    assert collect(db).jobs == 1
    assert collect(db).jobs == 0
    assert verify(db, models=False).is_sound


def test_the_only_record_of_a_job_goes_with_its_output_and_does_not_come_back(db, tmp_path):
    cell = bulk("Cu", a=3.6)
    cell.calc = EMT()
    cell.get_forces()
    cell.get_stress()
    cell.write(tmp_path / "cell.extxyz")
    (tmp_path / "method.yaml").write_text(EMT_METHOD)
    import_paths(db, [tmp_path])
    model = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=("Cu",)))
    phonon = compute_phonon(db, model, db.require_structure("cell"), np.eye(3, dtype=int).tolist())
    job = phonon.provenance.activity
    relaxations = db.calculations.find(method=model.id)
    outputs = db.raw["outputs"].count_documents({})
    forget(db, Subject("phonons", phonon.id))
    assert collect(db).added == {}
    assert db.raw["phonons"].count_documents({}) == 0
    assert db.raw["activities"].find_one({"_id": job}) is None
    assert db.raw["outputs"].count_documents({}) == outputs - 1
    assert [c.id for c in db.calculations.find(method=model.id)] == [c.id for c in relaxations]
    assert verify(db, models=False).is_sound


def test_the_log_says_what_was_forgotten(two_files):
    db, _ = two_files
    forget(db, act_of(db, "wse2_gpaw_pbe.extxyz"))
    newest = history(db)[0]
    assert (newest.kind, newest.name) == ("forgetting", "import wse2_gpaw_pbe.extxyz")
    with pytest.raises(InputError, match="says what was taken back"):
        forget(db, Subject("activities", newest.id))


@pytest.fixture
def other_process():
    """Another process of this machine, which writes as far as its activity says."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process.pid
        process.kill()


def test_while_another_process_writes_nothing_is_forgotten(two_files, other_process):
    db, _ = two_files
    act = Activity(id="writing", kind="import", name="large.extxyz")
    announce(db, act)
    db.activities.raw.update_one({"_id": "writing"}, {"$set": {"run.pid": other_process}})
    before = sizes(db)
    with pytest.raises(InputError, match=r"import large\.extxyz is being written"):
        forget(db, act_of(db, "wse2_gpaw_pbe.extxyz"))
    assert sizes(db) == before


def test_of_two_that_forget_the_same_one_does(two_files):
    db, before = two_files
    subject = act_of(db, "wse2_gpaw_pbe.extxyz")
    with (
        held(db.raw, FORGETTING, "cleared of records"),
        pytest.raises(DatabaseError, match="is being cleared of records"),
    ):
        forget(db, subject)
    forget(db, subject)
    with pytest.raises(NotFoundError, match="is not there any more"):
        forget(db, subject)
    assert sizes(db) == before
    assert [act.kind for act in db.activities.find(kind="forgetting")] == ["forgetting"]


def test_who_begins_to_write_waits_until_all_is_freed(two_files, data_folder):
    """Else an import would find a blob there, and name it, that is freed right behind it."""
    db, _ = two_files
    forget(db, act_of(db, "wse2_gpaw_pbe.extxyz"))
    path = data_folder / "wse2_gpaw_pbe.extxyz"
    import_again = threading.Thread(target=import_paths, args=(db, [path]))
    with held(db.raw, FORGETTING, "cleared of records"):
        import_again.start()
        while not db.activities.raw.find_one({"name": path.name, "run.state": "started"}):
            time.sleep(0.05)
        time.sleep(0.5)
        assert db.calculations.count(kind="pristine-3x3") == 0
    import_again.join()
    assert db.calculations.count(kind="pristine-3x3") > 0
    assert verify(db, models=False).is_sound


@pytest.mark.parametrize("behind", [False, True], ids=["before the records", "behind them"])
def test_what_a_killed_process_left_goes_with_the_next(two_files, monkeypatch, behind):
    db, before = two_files
    name = "_remove_output" if behind else "_remove"
    subject = act_of(db, "wse2_gpaw_pbe.extxyz")

    class Killed(BaseException):
        """Nothing catches it, as nothing does a kill."""

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, name, kill)
        with pytest.raises(Killed):
            forget(db, subject)
    assert verify(db, models=False).counts[FindingKind.UNFINISHED] == 1
    if behind:
        act = db.activities.one(kind="forgetting")
        assert len(forget(db, find_subject(db, act.id)).blobs) > 60
        assert sizes(db) == before
    else:
        forget(db, subject)
        assert sizes(db) == before
        assert db.activities.count(kind="forgetting") == 1
    assert not verify(db, models=False).findings


def test_killed_behind_records_too_many_for_a_transaction_their_act_does_not_miss_them(
    two_files, monkeypatch
):
    """The record is gone, so that the same command has nothing to take back."""
    db, _ = two_files
    dataset = build_dataset(db, "d", {"n_atoms": 3})

    class Killed(BaseException):
        """Nothing catches it, as nothing does a kill."""

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "IN_ONE", 5)
        patched.setattr(forgetting, "count_anew", kill)
        with pytest.raises(Killed):
            forget(db, Subject("datasets", dataset.id))
    assert db.datasets.count() == 0
    with pytest.raises(NotFoundError):
        forget(db, Subject("datasets", dataset.id))
    assert not verify(db, models=False).findings


def test_another_file_of_the_same_records_brings_them_back(two_files, data_folder, tmp_path):
    """It found them there and wrote none, so it is read again once they were taken back."""
    db, before = two_files
    name = "copy.extxyz"
    shutil.copy(data_folder / "wse2_gpaw_pbe.extxyz", tmp_path / name)
    shutil.copy(data_folder / "gpaw_logs.tar.xz", tmp_path)
    said = (data_folder / "method.yaml").read_text()
    (tmp_path / "method.yaml").write_text(said.replace("wse2_gpaw_pbe.extxyz:", f"{name}:"))
    assert import_paths(db, [tmp_path]).added == {}
    assert import_paths(db, [tmp_path]).unchanged == [name]
    forget(db, act_of(db, "wse2_gpaw_pbe.extxyz"))
    assert sizes(db) == before
    assert import_paths(db, [tmp_path]).added["calculations"] == 68
    assert import_paths(db, [tmp_path]).unchanged == [name]
    assert not verify(db, models=False).findings
