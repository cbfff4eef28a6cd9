"""The embedded server killed as it writes: nothing lost, doubled or half written."""

from __future__ import annotations

import random
import time

import pytest
from jobflow import Flow, run_locally
from waiting import PATIENCE, wait_until

from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.ingest.collect import collect
from forcebase.makers.sampling import SampleStructuresMaker
from forcebase.physics.sampling import CellDraws, SamplingPlan
from forcebase.remote.placement import Place
from forcebase.remote.submission import submit

pytestmark = pytest.mark.faults

N_JOBS = 12


def drawings(spreading, db) -> Flow:
    """Jobs whose outputs are a hundred structures each."""
    cell = load_flow(db, spreading, {"alone": "true"}).jobs[0].function_args[0]
    plans = [SamplingPlan(cells=(CellDraws(size=1, count=100),), seed=i) for i in range(N_JOBS)]
    jobs = [SampleStructuresMaker(name=f"draw {p.seed}", plan=p).make(cell) for p in plans]
    return Flow(jobs)


def test_killed_while_a_collector_writes(own_site, here, spreading, contents):
    site, chance = own_site, random.Random(1)
    flow = drawings(spreading, site.db)
    run_locally(flow, log=False, store=site.db.job_store)
    here.raw["outputs"].insert_many(site.db.raw["outputs"].find())
    assert collect(here).jobs == N_JOBS
    interrupted = 0
    for k in range(3):
        before = site.db.activities.count()
        collector = site.start_forcebase("collect")
        wait_until(lambda n=before: site.db.activities.count() > n, often=0.01)
        time.sleep(chance.uniform(0, 0.05))
        site.kill_mongod()
        if k == 0:  # it waits half a minute for the server, and ends
            interrupted += collector.wait(timeout=PATIENCE) != 0
        site.forcebase("ls", "methods")  # any next command starts it again
        collector.wait(timeout=PATIENCE)  # or it waited for less, and went on
        assert contents(site.db)  # whole, each of them
        if site.db.activities.count({"run.state": "finished"}) == N_JOBS:
            break
    assert interrupted
    assert "Traceback" not in site.log("collect")
    site.forcebase("collect")
    assert contents(site.db) == contents(here)


def watches(db) -> bool:
    """Whether somebody follows a change stream of the server."""
    asked = [{"$currentOp": {"allUsers": True, "idleCursors": True}}]
    return any("$changeStream" in str(op) for op in db.client.admin.aggregate(asked))


def test_killed_while_a_runner_and_a_watch_work(own_site, here, spreading, record_ids):
    """The watch starts the server again and goes on; the runner too, or the next one."""
    site = own_site
    assert not run_here(here, load_flow(here, spreading, {"seed": "1"})).failed
    submit(site.db, load_flow(site.db, spreading, {"seed": "1"}), Place(modules=spreading.parent))
    watch = site.start_forcebase("collect", "--watch", "--json")
    wait_until(lambda: watches(site.db))  # what is killed as it connects has nothing to go on with
    runner = site.start_runner()
    wait_until(lambda: site.states()["draw 1"] != "READY")
    site.kill_mongod()
    wait_until(site.answers)  # the watch has started it
    wait_until(lambda: "COMPLETED" in site.states().values())
    assert watch.poll() is None
    site.kill_mongod()
    wait_until(site.answers)
    site.kill(runner)  # or it may rest for two minutes from the steps that failed
    site.forcebase("jobs", "unlock", "--older-than", "0")
    if "jobs" in site.doctor():
        site.forcebase("jobs", "rerun", "--failed")
    site.start_runner()
    site.wait_until_completed()
    jobs = {"kind": "job", "run.state": "finished"}
    wait_until(lambda: site.db.activities.count(jobs) == 3)
    assert watch.poll() is None
    assert record_ids(site.db) == record_ids(here)
