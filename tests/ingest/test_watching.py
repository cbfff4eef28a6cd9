"""Records as jobs end: a watch in a thread, jobs here."""

from __future__ import annotations

import operator
import threading

import pytest
from jobflow import Flow, Job, OutputReference, job, run_locally
from waiting import PATIENCE, wait_until

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames
from forcebase.database.reading import read_frames
from forcebase.ingest.collect import CollectReport
from forcebase.ingest.watching import watch
from forcebase.makers.prediction import PredictMaker
from forcebase.outputs import ModelOutput


class Watch:
    """A watch in a thread, with a connection of its own."""

    def __init__(self, settings) -> None:
        self.reports: list[CollectReport] = []
        self.done = threading.Event()
        self._db = Database(settings)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for report in watch(self._db, stop=self.done.is_set):
            self.reports.append(report)

    def wait_for(self, name: str) -> None:
        """Wait until a job of this name was collected."""
        wait_until(
            lambda: any(name in report.names for report in self.reports),
            lambda: f"{name} was not collected: {self.reports}",
        )

    def wait_for_unknown(self, name: str) -> None:
        """Wait until a job of this name, of which nothing can be made, was told."""
        wait_until(lambda: any(name in report.unknown for report in self.reports))

    def end(self) -> None:
        self.done.set()
        self._thread.join(timeout=PATIENCE)
        assert not self._thread.is_alive()
        self._db.close()


@pytest.fixture
def watching(settings, db):
    started = Watch(settings)
    yield started
    started.end()


@job(data=[Blob])
def give(output: dict) -> dict:
    return output


def run(db, *jobs: Job) -> None:
    flow = Flow(list(jobs))
    run_locally(flow, log=False, store=db.job_store, allow_external_references=True)


def test_what_is_there_and_what_comes_become_records(settings, db, quick_model, imported):
    model = give(model_of(quick_model))
    model.name = "before"
    run(db, model)
    started = Watch(settings)
    try:
        started.wait_for("before")
        frames, n = published(db, imported)
        predicting = PredictMaker(name="after").make(model_of(quick_model), frames)
        run(db, predicting)
        started.wait_for("after")
    finally:
        started.end()
    assert db.methods.count(kind="MACE") == 1
    assert db.calculations.count(method_class="model") == n


def test_an_output_waits_for_the_model_it_is_of(db, watching, quick_model, imported):
    """As when a second collector has the model in its hands."""
    frames, _ = published(db, imported)
    run(db, PredictMaker(name="predict").make(model_of(quick_model), frames))
    wait_until(lambda: any(report.failed for report in watching.reports))
    model = give(model_of(quick_model))
    model.name = "model"
    run(db, model)
    watching.wait_for("predict")
    told = [found for report in watching.reports for found in report.failed]
    assert len(told) == 1


def test_what_has_no_shape_is_told_once(db, watching):
    run(db, Job(operator.add, function_args=(1, 2), name="foreign"))
    run(db, Job(operator.add, function_args=(3, 4), name="other"))
    watching.wait_for_unknown("other")
    told = [name for report in watching.reports for name in report.unknown]
    assert sorted(told) == ["foreign", "other"]


def test_a_job_that_fails_in_the_queue_is_recorded(db, watching):
    document = {
        "db_id": "1",
        "uuid": "u",
        "index": 1,
        "job": {"name": "breaks"},
        "state": "RUNNING",
        "worker": "cpu",
        "updated_on": None,
        "error": "ValueError: no",
    }
    db.raw["jf_jobs"].insert_one(document)
    db.raw["jf_jobs"].update_one({"db_id": "1"}, {"$set": {"state": "FAILED"}})
    wait_until(lambda: db.activities.count(kind="failure"))
    assert db.activities.one(kind="failure").error == "ValueError: no"


def published(db, imported) -> tuple[OutputReference, int]:
    """A few cells with DFT labels as a job's input, and their number."""
    imported(db, "wse2_gpaw_unitcell.extxyz")
    frames = read_frames(db, {})
    return publish_frames(db, frames), len(frames)


def model_of(quick_model) -> ModelOutput:
    return {**quick_model.output, "dataset": None, "dataset_job": None}
