"""States of the queue that faults leave, made by hand: what the commands make of them."""

from __future__ import annotations

import operator
import subprocess

import pytest
from jobflow import Flow, Job
from jobflow.core.job import store_inputs
from waiting import PATIENCE

from forcebase.errors import InputError
from forcebase.remote.queue import list_jobs, rerun, unlock
from forcebase.remote.recovery import untold_flows
from forcebase.remote.submission import submit


@pytest.fixture
def chain(site):
    """A job, one that passes its output on, and one behind that; their numbers."""
    first = Job(operator.add, function_args=(1, 2), name="add")
    passing = store_inputs([first.output])
    last = Job(len, function_args=(passing.output,), name="count")
    return submit(site.db, Flow([first, passing, last])).jobs


def put(site, **states: str) -> None:
    for name, state in states.items():
        change = {"$set": {"state": state}}
        site.db.raw["jf_jobs"].update_one({"job.name": name}, change)


def test_a_failed_job_runs_again_with_those_that_did_not_wait_for_it(site, chain):
    """jobflow's store_inputs runs behind a job that failed, and those behind it fail."""
    put(site, add="FAILED", store_inputs="COMPLETED", count="REMOTE_ERROR")
    jobs = list_jobs(site.db, ["failed", "remote_error"])
    assert len(rerun(site.project, jobs)) == 2
    assert site.states() == {"add": "READY", "store_inputs": "WAITING", "count": "WAITING"}


def test_but_not_where_something_was_made_of_its_failure(site, chain):
    put(site, add="FAILED", store_inputs="COMPLETED", count="COMPLETED")
    with pytest.raises(InputError, match="child of Job"):
        rerun(site.project, list_jobs(site.db, ["failed"]))
    assert site.states()["add"] == "FAILED"


def test_the_others_run_again_where_one_cannot(site, chain):
    put(site, add="FAILED", store_inputs="WAITING", count="COMPLETED")
    with pytest.raises(InputError, match=r"Job . \(count\)"):
        rerun(site.project, list_jobs(site.db, ["failed", "completed"]))
    assert site.states()["add"] == "READY"


def test_a_job_that_waits_for_nothing_is_told(site, chain):
    assert untold_flows(site.db) == []
    put(site, add="COMPLETED")
    (flow,) = untold_flows(site.db)
    held = {"$set": {"lock_id": "alive"}}
    site.db.raw["jf_flows"].update_one({}, held)
    assert untold_flows(site.db) == []
    assert unlock(site.project, [], [flow]) == 1
    assert site.states()["store_inputs"] == "READY"


def test_a_process_that_the_queue_does_not_know_is_ended(site, chain, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    running = subprocess.Popen(["sleep", "600"], cwd=folder)
    try:
        left = {"state": "UPLOADED", "run_dir": str(folder), "lock_id": "killed"}
        site.db.raw["jf_jobs"].update_one({"job.name": "add"}, {"$set": left})
        assert unlock(site.project, list_jobs(site.db), []) == 1
        assert running.wait(timeout=PATIENCE) == -9
    finally:
        running.kill()
    job = site.db.raw["jf_jobs"].find_one({"job.name": "add"})
    assert (job["state"], job["lock_id"]) == ("CHECKED_OUT", None)
    assert job["remote"]["prerun_cleanup"]
