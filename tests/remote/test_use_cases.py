"""Each use case once in this process and once through the queue: the same records.

`here` is a second database; the queue is that of `db`. Predictions and relaxations have one id
wherever they were made; a training has it with one thread.
"""

from __future__ import annotations

import json
import operator
from dataclasses import replace

import pytest
from ase.build import bulk
from jobflow import Flow, Job
from same_records import check_same
from silicon_models import add_tersoff

from forcebase.actions.datasets import build_dataset
from forcebase.actions.defects import compute_defect_phonons
from forcebase.actions.filling import fill_labels
from forcebase.actions.models import add_model
from forcebase.actions.phonons import compute_phonon
from forcebase.actions.predictions import predict, prediction_flow
from forcebase.actions.running import run
from forcebase.actions.running_there import Handle, State
from forcebase.actions.training import train_model
from forcebase.api import Session
from forcebase.comparison import selection
from forcebase.errors import CalculationError, InputError, ModelError
from forcebase.ingest.batch import Batch
from forcebase.integrity.forgetting import forget
from forcebase.integrity.verify import verify
from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.models.sources import Source
from forcebase.models.training_settings import QUICK
from forcebase.provenance.subject import Subject
from forcebase.records import Activity, Structure
from forcebase.remote.placement import Place
from forcebase.remote.queue import cancel

MAKER = PhononMaker(
    relax_maker=RelaxMaker(fmax=1e-3),
    force_constants_maker=ForceConstantsMaker(method="displacements"),
)
TWO = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]


def emt(db):
    """EMT as a model, and a conventional cell of copper that is a little too large."""
    model = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=["Cu", "Au"]))
    cell = Structure.from_atoms(bulk("Cu", a=3.65, cubic=True), kind="bulk")
    Batch(structures=[cell]).write(db, Activity(id="cell", kind="import", name="cell"))
    return model, db.structures.get(cell.id)


def lineage(db):
    """Each record's edges, and the name of the job that made it."""
    names = {a.id: (a.kind, a.name) for a in db.activities.find()}
    return {
        (place, record.id): (
            sorted((e.role, e.collection, e.record) for e in record.provenance.edges),
            names.get(record.provenance.activity),
        )
        for place, collection in db.record_collections.items()
        for record in collection.find()
    }


def all_ids(db):
    return {place: {r.id for r in c.find()} for place, c in db.record_collections.items()}


@pytest.mark.remote
def test_predictions(other_db, db, remote):
    here, there = emt(other_db), emt(db)
    assert predict(other_db, here[0], [here[1].id]) == 1
    handle = predict(db, there[0], [there[1].id], where="cpu")
    assert isinstance(handle, Handle)
    assert (handle.state(), handle.done) == (State.WAITING, False)
    with pytest.raises(
        CalculationError, match=r"not done after 0.1 s: 1 \(predict\) READY"
    ) as late:
        handle.result(timeout=0.1)
    assert f"jf -p {remote.project.name} runner start" in str(late.value)
    remote.run_queue()
    assert handle.result(timeout=1) == 1
    assert handle.state() is State.COMPLETED
    assert all_ids(db) == all_ids(other_db)
    assert lineage(db) == lineage(other_db)
    again = predict(db, there[0], [there[1].id], where="cpu")
    assert (again.done, again.numbers, again.flow) == (True, [], "")
    assert again.result() == 0


@pytest.mark.remote
def test_a_handle_of_python_gives_a_record_that_leads_on(db, remote):
    session = Session(db.settings)
    tersoff = add_tersoff(session)
    si = session.structures.add(bulk("Si"), name="si")
    handle = session.phonon(tersoff, si, supercell=(2, 2, 2), fmax=1e-3, where="cpu")
    assert isinstance(handle, Handle)
    assert handle.numbers[0] in repr(handle)
    remote.run_queue()
    phonon = handle.result(timeout=1)
    assert phonon.structure.n_atoms == 2
    assert phonon.bands().highest > 10
    predicted = session.predict("tersoff", "si", where="cpu")
    remote.run_queue()
    assert predicted.result(timeout=1) == 1
    session.close()


@pytest.mark.remote
def test_phonons(other_db, db, remote):
    here, there = emt(other_db), emt(db)
    one = compute_phonon(other_db, *here, TWO, MAKER)
    handle = compute_phonon(db, *there, TWO, MAKER, where="cpu")
    remote.run_queue()
    other = handle.result(timeout=1)
    assert one.protocol == other.protocol
    check_same(other_db, db)
    assert lineage(other_db).keys() == lineage(db).keys()
    assert compute_phonon(db, *there, TWO, MAKER, where="cpu").result().id == other.id


@pytest.mark.remote
def test_defect_phonons(other_db, db, remote):
    here, there = emt(other_db), emt(db)
    pair = compute_defect_phonons(other_db, *here, TWO, "v_Cu", MAKER)
    handle = compute_defect_phonons(db, *there, TWO, "v_Cu", MAKER, where="cpu")
    remote.run_queue()
    other = handle.result(timeout=1)
    assert other.defective.defect == pair.defective.defect
    assert other.pristine.protocol == pair.pristine.protocol
    check_same(other_db, db)
    assert db.phonons.count() == other_db.phonons.count() == 2


@pytest.mark.remote
@pytest.mark.training
def test_training(other_db, db, remote, imported):
    settings = replace(QUICK, threads=1)
    for database in (other_db, db):
        imported(database, "wse2_gpaw_pbe.extxyz")
        build_dataset(database, "d", {"n_atoms": 3})
    one = train_model(other_db, other_db.datasets.one(), settings, name="mine")
    handle = train_model(db, db.datasets.one(), settings, name="mine", where="cpu")
    assert db.names.named("mine") is None
    remote.run_queue()
    other = handle.result(timeout=1)
    assert one.id == other.id, "one thread, one machine: the same bits"
    assert db.names.named("mine") == ("methods", other.id)
    check_same(other_db, db)
    assert lineage(other_db) == lineage(db)
    assert train_model(db, db.datasets.one(), settings, name="too", where="cpu").done
    assert db.names.named("too") == ("methods", other.id)


@pytest.mark.remote
@pytest.mark.training
def test_a_model_whose_dataset_was_forgotten_meanwhile_is_not_written(db, remote, imported):
    imported(db, "wse2_gpaw_pbe.extxyz")
    dataset = build_dataset(db, "d", {"n_atoms": 3})
    handle = train_model(db, dataset, replace(QUICK, threads=1), where="cpu")
    forget(db, Subject("datasets", dataset.id))
    remote.run_queue()
    with pytest.raises(CalculationError, match="1 datasets that it needs were taken back"):
        handle.result(timeout=1)
    assert db.methods.count(kind="MACE") == 0
    again = build_dataset(db, "d", {"n_atoms": 3})
    assert again.id == dataset.id
    assert handle.result(timeout=1).dataset == again.id
    assert verify(db).is_sound


@pytest.mark.remote
def test_labels_that_are_filled(other_db, db, remote, imported):
    for database in (other_db, db):
        imported(database, "wse2_gpaw_unitcell.extxyz")
        add_model(database, Source("ase", LENNARD_JONES, elements=["W", "Se"]))
    filled = []
    for database, where in ((other_db, None), (db, "cpu")):
        model = database.methods.one({"_cls": "Method.ModelMethod"})
        reference = database.methods.one({"_cls": "Method.DFTMethod"})
        filled.append(
            fill_labels(database, [model], [reference], selection(database, None), where=where)
        )
    remote.run_queue()
    assert filled[1].result(timeout=1) == filled[0] != {}
    assert db.calculations.count(method_class="model") > 0
    assert all_ids(db) == all_ids(other_db)
    assert lineage(db) == lineage(other_db)


LENNARD_JONES = "ase.calculators.lj:LennardJones"


@pytest.mark.remote
def test_what_failed_is_told_and_the_rest_is_collected(db, remote):
    model, cell = emt(db)
    wrong = Job(operator.truediv, function_args=(1, 0), name="divide")
    flow = Flow([prediction_flow(db, [(model, [cell.id])]), wrong])
    handle = run(db, flow, lambda report: report, where=Place(workers={"divide": "gpu"}))
    remote.run_queue()
    assert handle.state() is State.FAILED
    with pytest.raises(CalculationError, match=r"divide \(job \d, FAILED\): ZeroDiv") as caught:
        handle.result(timeout=1)
    assert "forcebase jobs rerun" in str(caught.value)
    assert {job.name: job.worker for job in handle.jobs()} == {"predict": "cpu", "divide": "gpu"}
    assert not db.activities.one(kind="failure").resolved
    assert db.calculations.one(method_class="model").structure == cell.id


def test_what_waits_in_the_queue_is_not_queued_twice(db, remote, imported):
    model, cell = emt(db)
    imported(db, "wse2_gpaw_pbe.extxyz")
    dataset = build_dataset(db, "d", {"n_atoms": 3})

    def queued(seed=1, name="mine", **place):
        wanted = replace(QUICK, seed=seed)
        where = Place(**place)
        return (
            compute_phonon(db, model, cell, TWO, MAKER, where=where),
            train_model(db, dataset, wanted, name=name, where=where),
        )

    first, again, elsewhere = queued(), queued(), queued(worker="gpu")
    assert [h.flow for h in first] == [h.flow for h in again] == [h.flow for h in elsewhere]
    assert [h.numbers for h in first] == [h.numbers for h in again]
    assert all(handle.submission.waits for handle in again)
    assert db.raw["jf_flows"].count_documents({}) == 2
    _, other = queued(seed=2)
    _, named = queued(name="other")
    assert len({first[1].flow, other.flow, named.flow}) == 3
    cancel(remote.project, first[1].jobs())
    assert queued()[1].flow not in (first[1].flow, other.flow, named.flow)
    assert queued(again=True)[0].flow != first[0].flow


def test_what_cannot_be_computed_is_refused_before_anything_is_queued(db, remote):
    model, cell = emt(db)
    silicon = Structure.from_atoms(bulk("Si"), kind="bulk")
    Batch(structures=[silicon]).write(db, Activity(id="si", kind="import", name="si"))
    with pytest.raises(ModelError, match="does not know Si"):
        predict(db, model, [silicon.id], where="cpu")
    with pytest.raises(InputError, match="no worker 'slurm'"):
        predict(db, model, [cell.id], where="slurm")
    assert db.raw["jf_jobs"].count_documents({}) == 0


@pytest.mark.remote
def test_the_commands_print_what_launch_prints(db, remote, imported):
    imported(db, "wse2_gpaw_pbe.extxyz")
    build_dataset(db, "d", {"n_atoms": 3})
    model = add_model(db, Source("ase", LENNARD_JONES, elements=["W", "Se"]))
    dft = db.methods.one({"_cls": "Method.DFTMethod"})
    cell = db.structures.one(n_atoms=3)
    asked = {
        "train": ["d", "--name", "mine"],
        "predict": [model.id, "--structure", cell.id],
        "phonon": [model.id, cell.id, "--supercell", "1x1x1", "--method", "displacements"],
        "compare": [model.id, dft.id, "--fill"],
    }
    for command, arguments in asked.items():
        words = (command, *arguments, "--remote", "--worker", "gpu")
        told = remote.forcebase(*words).stdout
        assert "jobs in the queue of project" in told, command
        assert f"jf -p {remote.project.name} runner start" in told
        submission = json.loads(remote.forcebase(*words, "--json").stdout)
        assert set(submission["workers"]) == {"gpu"}
        assert db.raw["jf_flows"].count_documents({"uuid": submission["flow"]}) == 1
    queued = db.raw["jf_jobs"].count_documents({})
    for command, arguments in asked.items():
        wrong = remote.forcebase(command, *arguments, "--worker", "gpu", check=False)
        assert (wrong.returncode, "are for --remote" in wrong.stderr) == (2, True)
    alone = remote.forcebase("compare", model.id, dft.id, "--remote", check=False)
    assert (alone.returncode, "--remote is for --fill" in alone.stderr) == (2, True)
    assert db.raw["jf_jobs"].count_documents({}) == queued
