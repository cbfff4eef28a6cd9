"""Two who build versions of one dataset at the same time: each gets a version of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from jobflow import run_locally

import forcebase.actions.datasets
import forcebase.ingest.batch
from forcebase.actions.datasets import build_dataset
from forcebase.curation.pipeline import Curation
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames
from forcebase.database.reading import read_frames
from forcebase.datasets import families_of, latest
from forcebase.errors import InputError
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.forgetting import forget
from forcebase.integrity.verify import verify
from forcebase.makers.curation import CurateMaker
from forcebase.provenance.subject import Subject

FORK = multiprocessing.get_context("fork")
FILTERS = {"n_atoms": 3}


@pytest.fixture
def imported(db, data_folder):
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    return db


def build_in(settings, seed, barrier):
    """Build in a process of its own, which has seen the newest version when the other has too."""

    def run() -> None:
        seen = []

        def latest_together(db, name):
            found = latest(db, name)
            if not seen:
                seen.append(found)
                barrier.wait(timeout=120)
            return found

        forcebase.actions.datasets.latest = latest_together
        db = Database(settings)
        build_dataset(db, "d", FILTERS, seed=seed)
        db.close()

    process = FORK.Process(target=run)
    process.start()
    return process


def test_both_get_a_version(imported, settings):
    barrier = FORK.Barrier(2)
    processes = [build_in(settings, seed, barrier) for seed in (1, 2)]
    for process in processes:
        process.join(timeout=200)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = imported.datasets.find(name="d", sort="version")
    assert (first.version, second.version, second.parent) == (1, 2, first.id)
    assert families_of(imported, first).items() <= families_of(imported, second).items()
    acts = imported.activities.find(name="curate")
    assert {act.id for act in acts} == {d.provenance.activity for d in (first, second)}
    assert [act.run.state for act in acts] == ["finished", "finished"]
    assert all(act.run.written["datasets"]["n"] == 1 for act in acts)
    assert imported.activities.count(kind="failure") == 0


def test_an_output_that_came_too_late_is_told_once(imported):
    """It stays in the JobStore, and no later collection fails over it."""
    frames = publish_frames(imported, read_frames(imported, FILTERS))
    for seed in (1, 2):
        job = CurateMaker(recipe=Curation("d", seed=seed)).make(frames)
        run_locally(job, log=False, store=imported.job_store, allow_external_references=True)
    ((name, reason),) = collect(imported).failed
    assert "There is another dataset d@1" in reason
    assert collect(imported).failed == []
    assert imported.datasets.count() == 1
    assert imported.activities.count(kind="failure", name=name, resolved=True) == 1
    assert build_dataset(imported, "d", FILTERS).version == 2


def build_and_be_killed(settings, at):
    """Build in a process that is killed where it comes to a function of `forcebase.ingest.batch`.

    Returns:
        The activity that it left.
    """

    def run() -> None:
        setattr(forcebase.ingest.batch, at, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        insert = forcebase.database.collections.RecordCollection.add

        def add(collection, records):
            insert(collection, records)
            if collection.name == at:
                os.kill(os.getpid(), signal.SIGKILL)

        forcebase.database.collections.RecordCollection.add = add
        build_dataset(Database(settings), "d", FILTERS)

    process = FORK.Process(target=run)
    process.start()
    process.join(timeout=200)
    assert process.exitcode == -signal.SIGKILL
    db = Database(settings)
    (act,) = db.activities.find({"run.state": "started"})
    db.close()
    return act


@pytest.mark.parametrize("at", ["dataset_members", "finish"])
def test_the_same_build_completes_what_a_killed_one_left(imported, settings, at):
    act = build_and_be_killed(settings, at)
    assert verify(imported, models=False).counts[FindingKind.UNFINISHED] == 1
    dataset = build_dataset(imported, "d", FILTERS)
    assert (dataset.version, dataset.provenance.activity) == (1, act.id)
    assert not verify(imported, models=False).findings
    assert imported.activities.get(act.id).run.written["datasets"]["n"] == 1


def test_members_that_a_killed_build_left_hold_no_record_back(imported, settings):
    """Another version took the number since, so that no build completes them."""
    act = build_and_be_killed(settings, "dataset_members")
    left = imported.members.raw.find_one({"split": "train"})
    dataset = build_dataset(imported, "d", {**FILTERS, "kind": "pristine-1x1"}, seed=3)
    assert dataset.id != left["dataset"]
    forget(imported, Subject("activities", act.id))
    assert imported.members.count(dataset=left["dataset"]) == 0
    assert not verify(imported, models=False).findings
    forget(imported, Subject("datasets", dataset.id))
    build_and_be_killed(settings, "dataset_members")
    forget(imported, Subject("calculations", left["calculation"]))
    assert imported.members.count() == 0
    assert verify(imported, models=False).is_sound


def test_a_dataset_is_not_written_of_what_was_taken_back_meanwhile(imported, settings, monkeypatch):
    curate = forcebase.actions.datasets.curate

    def beside(*given):
        output = curate(*given)
        calculation = output["members"][0]["calculation"]
        subject = Subject("calculations", calculation)
        process = FORK.Process(target=lambda: forget(Database(settings), subject))
        process.start()
        process.join(timeout=200)
        assert process.exitcode == 0
        return output

    with monkeypatch.context() as patched:
        patched.setattr(forcebase.actions.datasets, "curate", beside)
        with pytest.raises(InputError, match="1 calculations that it needs were taken back"):
            build_dataset(imported, "d", FILTERS)
    assert verify(imported, models=False).is_sound
    assert build_dataset(imported, "d", FILTERS).version == 1
    assert not verify(imported, models=False).findings
