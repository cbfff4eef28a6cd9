"""What MongoDB would not take is told where it is made."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from jobflow import Flow, Job, job, run_locally

from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.blob import Blob
from forcebase.errors import CalculationError
from forcebase.ingest.collect import collect


@job(data=["structures"])
def give(output: dict) -> dict:
    """Leave the structures of an output in the additional store, which takes any size."""
    return output


@pytest.mark.parametrize("megabytes", [17, 50])
def test_an_output_of_a_job_here(db, megabytes):
    job = Job(operator.mul, function_args=("x", megabytes * 10**6), name="large")
    with pytest.raises(CalculationError, match=r"output of job 'large'.* 16 MB.*Blob") as caught:
        run_here(db, Flow([job]))
    assert "Traceback" not in str(caught.value)
    failure = db.activities.one(kind="failure")
    assert (failure.name, failure.resolved) == ("large", False)


def test_an_output_with_its_bulk_in_a_blob_goes_through(db):
    @job(data=[Blob])
    def heavy() -> dict:
        return {"forces": Blob.from_arrays(forces=np.zeros((3, 10**6)))}

    assert not run_here(db, Flow([heavy()])).failed
    assert db.job_store.count() == 1


def test_a_record_of_an_output(db, spreading):
    """The output is in the additional store, its record would not fit."""
    drawing = load_flow(db, spreading, {"alone": "true"})
    run_locally(drawing, log=False, store=db.job_store)
    output = db.job_store.get_output(drawing.job_uuids[0])
    output["structures"][1]["recipe"]["parameters"]["note"] = "x" * 17 * 10**6
    large = give(output)
    run_locally(Flow([large]), log=False, store=db.job_store)
    report = collect(db)
    assert report.jobs == 1
    assert [name for name, _ in report.failed] == ["give"]
    assert "A record of structures is over MongoDB's 16 MB" in report.failed[0][1]


def test_the_head_of_a_dataset(db):
    output = {
        "forcebase": "curation",
        "name": "large",
        "version": 1,
        "parent": None,
        "method": "a" * 64,
        "query": {"note": "x" * 17 * 10**6},
        "members": [],
        "dropped": [],
        "steps": [],
        "e0s": {"Se": 0.0},
        "e0s_source": "given",
        "wall_time": 0.0,
    }

    @job(data=["query"])
    def curate() -> dict:
        return output

    run_locally(curate(), log=False, store=db.job_store)
    (told,) = collect(db).failed
    assert "The record of dataset large@1 is over MongoDB's 16 MB" in told[1]
    assert db.datasets.count() == db.members.count() == 0
