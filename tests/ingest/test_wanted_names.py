"""The name that was wanted for a model comes with it, once, whatever happens to the collector."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from tests.ingest.test_collect import dft_jobs, put  # noqa: F401 - a fixture

from forcebase.database.database import Database
from forcebase.ingest import wanted_names
from forcebase.ingest.collect import collect
from forcebase.ingest.wanted_names import WANTED

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def trained(quick_model):
    """Output of a training, of no dataset."""
    return {**quick_model.output, "dataset": None, "dataset_job": None}


@pytest.mark.parametrize("behind", [False, True], ids=["before the name", "behind it"])
def test_a_collector_that_was_killed_leaves_the_name_to_the_next(db, settings, trained, behind):
    put(db, trained, metadata={WANTED: "mine"})

    def run() -> None:
        give = wanted_names.give_name

        def killed(*given):
            if behind:
                give(*given)
            os.kill(os.getpid(), signal.SIGKILL)

        collect.__globals__["give_name"] = killed
        collect(Database(settings))

    process = FORK.Process(target=run)
    process.start()
    process.join(timeout=200)
    assert process.exitcode == -signal.SIGKILL
    assert collect(db).jobs == 1
    assert db.names.named("mine") == ("methods", db.methods.one().id)
    assert collect(db).jobs == 0


def test_a_job_that_is_collected_once_more_takes_no_name_back(db, trained):
    put(db, trained, metadata={WANTED: "mine"})
    collect(db)
    model = db.methods.one()
    other = db.methods.one(id=model.id)
    other.dtype = "float32" if model.dtype == "float64" else "float64"
    other.provenance.activity = None
    db.methods.add([other.sealed()])
    db.names.name("mine", "methods", other.id)
    db.methods.raw.delete_one({"_id": model.id})  # so that its job is to be collected again
    assert collect(db).added == {"methods": 1}
    assert db.names.named("mine") == ("methods", other.id)


@pytest.mark.parametrize("name", ["a:b", 7, {"$gt": ""}, ["a"], "x" * 2000, ""], ids=str)
def test_what_cannot_be_a_name_is_said_and_the_model_is_there(db, trained, name):
    put(db, trained, "training", metadata={WANTED: name})
    report = collect(db)
    assert (report.jobs, report.failed, db.methods.count()) == (1, [], 1)
    ((job, why),) = report.notes
    assert job == "training"
    assert "it has no name" in why
    assert db.raw["labels"].count_documents({}) == 0


def test_a_job_that_made_no_model_names_nothing(db, dft_jobs):  # noqa: F811
    put(db, dft_jobs[0]["output"], metadata={WANTED: "mine"})
    assert collect(db).jobs == 1
    assert db.names.named("mine") is None
