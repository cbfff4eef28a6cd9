"""A killed runner: the next one ends all jobs; a lock it leaves is found, named and resolved."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest
from waiting import PATIENCE, wait_until

from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.ingest.collect import collect
from forcebase.remote.placement import Place
from forcebase.remote.queue import list_jobs
from forcebase.remote.submission import submit

pytestmark = pytest.mark.faults
KILL = """
import os, signal
from {module} import {owner}
right = {owner}.{name}
def dying(self, *arguments, **keywords):
    {when}
    os.kill(os.getpid(), signal.SIGKILL)
{owner}.{name} = dying
"""
BEFORE = "if not {condition}: return right(self, *arguments, **keywords)"
AFTER = "found = right(self, *arguments, **keywords)\n    if not {condition}: return found"
N_JOBS = 6
CONTROLLER = "jobflow_remote.jobs.jobcontroller", "JobController"
MOMENTS = {
    "input half way": (*("jobflow_remote.remote.host.local", "LocalHost"), "put", BEFORE, "True"),
    "submitted, unknown to the queue": (
        *("jobflow_remote.remote.queue", "QueueManager"),
        *("submit", AFTER, "True"),
    ),
    "output stored": (*CONTROLLER, "checkin_job", BEFORE, "True"),
    "new jobs in the queue": (*CONTROLLER, "_append_flow", AFTER, "True"),
    "completed, the next not told": (
        *(*CONTROLLER, "refresh_children", BEFORE),
        "self.jobs.find_one({'job.name': 'spread', 'state': 'COMPLETED'})",
    ),
    "completed, locked": (*CONTROLLER, "update_flow_state", AFTER, "True"),
}


def dying_at(moment: str) -> str:
    """Code that has a runner kill itself, as kill -9 does, at one moment."""
    module, owner, name, when, condition = MOMENTS[moment]
    return KILL.format(module=module, owner=owner, name=name, when=when.format(condition=condition))


def test_killed_at_each_step(site, here, spreading, record_ids):
    """Six runners, each killed inside a step; the seventh ends what they left."""
    assert not run_here(here, load_flow(here, spreading, {"seed": "1"})).failed
    submit(site.db, load_flow(site.db, spreading, {"seed": "1"}), Place(modules=spreading.parent))
    for moment in MOMENTS:
        runner = site.start_runner(dying_at(moment))
        assert runner.wait(timeout=PATIENCE) == -signal.SIGKILL, moment
        held = list(site.db.raw["jf_jobs"].find({"lock_id": {"$ne": None}}, {"state": 1}))
        assert held, moment
        site.forcebase("jobs", "unlock", "--older-than", "0")
    site.start_runner()
    site.wait_until_completed()
    wait_until(lambda: site.db.raw["jf_flows"].find_one()["state"] == "COMPLETED", seconds=90)
    report = collect(site.db)
    assert (report.failed, report.failures) == ([], [])
    assert record_ids(site.db) == record_ids(here)
    assert len(site.states()) == N_JOBS
    assert site.db.raw["outputs"].count_documents({}) == N_JOBS
    assert collect(site.db).jobs == 0


def test_a_lock_that_is_a_day_old(site, spreading):
    submit(
        site.db, load_flow(site.db, spreading, {"alone": "true"}), Place(modules=spreading.parent)
    )
    day = datetime.now(UTC) - timedelta(days=1)
    left = {"state": "CHECKED_OUT", "lock_id": "killed", "lock_time": day}
    site.db.raw["jf_jobs"].update_one({"job.name": "draw 1"}, {"$set": left})
    site.db.raw["jf_flows"].update_one({}, {"$set": {"lock_id": "killed", "lock_time": day}})
    found = site.doctor()
    job, flow = found.values()
    assert job["what"] == "job 1 (draw 1)"
    assert job["found"] == "CHECKED_OUT and locked for 24.0 h, by a runner that was killed"
    assert job["advice"] == "stop the runner, then: forcebase jobs unlock 1"
    assert "its jobs cannot end" in flow["found"]
    assert site.forcebase("doctor", check=False).returncode == 1
    site.forcebase(*job["advice"].partition(": forcebase ")[2].split())
    assert site.doctor() == {}
    site.start_runner()
    site.wait_until_completed()


def test_killed_at_any_moment_while_it_holds_a_lock(site, spreading):
    submit(
        site.db, load_flow(site.db, spreading, {"alone": "true"}), Place(modules=spreading.parent)
    )

    def stopped_with_a_lock() -> bool:
        if not site.db.raw["jf_jobs"].find_one({"lock_id": {"$ne": None}}):
            return False
        runner.send_signal(signal.SIGSTOP)
        if site.db.raw["jf_jobs"].find_one({"lock_id": {"$ne": None}}):
            return True
        runner.send_signal(signal.SIGCONT)
        return False

    runner = site.start_runner()
    wait_until(stopped_with_a_lock, often=0.001)
    site.kill(runner)
    (job,) = [job for job in list_jobs(site.db) if job.locked is not None]
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    for name in ("jf_jobs", "jf_flows"):
        held = {"lock_id": {"$ne": None}}
        site.db.raw[name].update_many(held, {"$set": {"lock_time": long_ago}})
    assert (
        f"forcebase jobs unlock {job.number}"
        in site.doctor()[f"job {job.number} ({job.name})"]["advice"]
    )
    site.forcebase("jobs", "unlock", job.number)
    assert site.doctor() == {}
    site.start_runner()
    site.wait_until_completed()


def test_what_is_completed_but_was_not_told(site, spreading):
    """As when the server went away between the two: no lock says so."""
    submit(site.db, load_flow(site.db, spreading, {}), Place(modules=spreading.parent))
    runner = site.start_runner(dying_at("completed, the next not told"))
    assert runner.wait(timeout=PATIENCE) == -signal.SIGKILL
    free = {"$set": {"lock_id": None, "lock_time": None}}
    for name in ("jf_jobs", "jf_flows"):
        site.db.raw[name].update_many({}, free)
    (found,) = site.doctor().values()
    assert "a job waits, though all that it waits for is completed" in found["found"]
    site.forcebase("jobs", "unlock")
    assert site.doctor() == {}
    site.start_runner()
    site.wait_until_completed()


def test_new_jobs_that_are_in_the_queue_already(site, spreading):
    """A runner that meets them fails three times; running the job again would double them."""
    submit(site.db, load_flow(site.db, spreading, {}), Place(modules=spreading.parent))
    runner = site.start_runner(dying_at("new jobs in the queue"))
    assert runner.wait(timeout=PATIENCE) == -signal.SIGKILL
    free = {"$set": {"lock_id": None, "lock_time": None}}
    for name in ("jf_jobs", "jf_flows"):
        site.db.raw[name].update_many({}, free)
    site.start_runner()
    wait_until(lambda: "REMOTE_ERROR" in str(list(site.db.raw["jf_jobs"].find({}, {"state": 1}))))
    assert [name for name, _ in collect(site.db).failures] == ["spread"]
    assert "forcebase jobs rerun --failed" in site.doctor()["jobs"]["advice"]
    site.forcebase("jobs", "rerun", "--failed")
    site.wait_until_completed()
    collect(site.db)
    assert site.db.activities.one(kind="failure").resolved
    assert len(site.states()) == N_JOBS
