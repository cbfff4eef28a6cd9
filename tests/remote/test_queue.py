"""The queue as forcebase shows and mends it."""

from __future__ import annotations

import json
import operator
from datetime import UTC, datetime, timedelta

import pytest
from jobflow import Flow, Job

from forcebase.errors import InputError
from forcebase.ingest.collect import collect
from forcebase.remote.placement import Place, place
from forcebase.remote.queue import (
    cancel,
    is_idle,
    list_jobs,
    locked_flows,
    long_locks,
    rerun,
    unlock,
)
from forcebase.remote.submission import submit


def divide(a: float, b: float, name: str = "divide") -> Job:
    return Job(operator.truediv, function_args=(a, b), name=name)


def state_of(db, number: str) -> str:
    return db.raw["jf_jobs"].find_one({"db_id": number})["state"]


def test_what_is_submitted_is_listed(db, remote):
    first, second = divide(1, 2, "first"), divide(3, 4, "second")
    submission = submit(db, Flow([first, second], name="two"), Place("gpu"))
    assert submission.workers == ["gpu", "gpu"]
    jobs = list_jobs(db)
    assert {(job.name, job.state, job.worker) for job in jobs} == {
        ("first", "READY", "gpu"),
        ("second", "READY", "gpu"),
    }
    assert {job.flow for job in jobs} == {submission.flow}
    assert [job.name for job in list_jobs(db, numbers=submission.jobs[:1])] == ["first"]
    assert len(list_jobs(db, flow=submission.flow[:6])) == 2
    assert list_jobs(db, flow="zzz") == []
    assert list_jobs(db, states=["failed"]) == []
    assert not is_idle(db)


def test_workers_and_resources_differ_from_job_to_job(db, remote):
    flow = Flow([divide(1, 2, "train it"), divide(3, 4, "label it")])
    wanted = {"qverbatim": "ulimit -t 60"}
    submission = submit(
        db, flow, Place(workers={"train": "gpu", "later": "batch"}, resources={"train": wanted})
    )
    assert submission.workers == ["gpu", "cpu"]
    assert submission.unmatched == ["later"]
    found = {job["job"]["name"]: job for job in db.raw["jf_jobs"].find()}
    assert found["train it"]["resources"] == wanted
    assert found["label it"]["resources"] is None


def test_resources_that_are_no_table_are_refused():
    with pytest.raises(InputError, match="not a table"):
        place(Flow([divide(1, 2)]), resources={"divide": 3})


def test_a_worker_that_is_not_there_is_refused_before_anything_is_written(db, remote):
    for wrong in ({"worker": "slurm"}, {"workers": {"divide": "slurm"}}):
        with pytest.raises(InputError, match=r"no worker 'slurm'.* It has: cpu, gpu, batch"):
            submit(db, Flow([divide(1, 2)]), Place(**wrong))
    assert db.raw["jf_flows"].count_documents({}) == 0


def test_a_flow_without_jobs_is_refused(db, remote):
    with pytest.raises(InputError, match="in the database already"):
        submit(db, Flow([], name="all done"))


@pytest.mark.remote
def test_a_failed_job_is_told_recorded_and_run_again(db, remote, tmp_path):
    (tmp_path / "b").write_text("0")
    code = f"1 / int(open({str(tmp_path / 'b')!r}).read())"
    first = Job(eval, function_args=(code,), name="divide")
    second = Job(operator.add, function_args=(first.output, 40), name="add")
    submit(db, Flow([first, second]))
    remote.run_queue()
    (failed,) = list_jobs(db, states=["failed"])
    assert failed.name == "divide"
    assert failed.reason == "ZeroDivisionError: division by zero"
    assert is_idle(db)
    assert [name for name, _ in collect(db).failures] == ["divide"]
    assert collect(db).failures == []
    record = db.activities.one(kind="failure")
    assert record.error.strip().endswith("ZeroDivisionError: division by zero")
    assert (record.job["uuid"], record.job["number"]) == (first.uuid, failed.number)
    assert record.resolved is False
    listed = remote.forcebase("ls", "activities", "kind=failure", "resolved=false", "--json").stdout
    assert [found["name"] for found in json.loads(listed)] == ["divide"]
    assert "ZeroDivisionError" in remote.forcebase("ls", "activities", "kind=failure").stdout

    (tmp_path / "b").write_text("1")
    done = remote.forcebase("jobs", "rerun", "--failed", "--json")
    assert json.loads(done.stdout) == {"rerun": [failed.number]}
    remote.run_queue()
    assert [state_of(db, job.number) for job in list_jobs(db)] == ["COMPLETED", "COMPLETED"]
    outputs = {found["name"]: found["output"] for found in db.job_store.query()}
    assert outputs == {"divide": 1.0, "add": 41.0}


def test_cancelled_jobs_take_those_along_that_wait_for_them_and_begin_anew(db, remote):
    first = divide(1, 2, "first")
    second = Job(operator.add, function_args=(first.output, 40), name="second")
    third = Job(operator.add, function_args=(second.output, 1), name="third")
    submit(db, Flow([first, second, third]))
    submit(db, Flow([divide(3, 4, "other")]))
    number = {job.name: job.number for job in list_jobs(db)}
    done = remote.forcebase("jobs", "cancel", number["first"], "--json")
    assert set(json.loads(done.stdout)["cancelled"]) == {
        number[n] for n in ("first", "second", "third")
    }
    assert state_of(db, number["first"]) == "USER_STOPPED"
    assert [state_of(db, number[n]) for n in ("second", "third")] == ["STOPPED", "STOPPED"]
    assert state_of(db, number["other"]) == "READY"
    with pytest.raises(InputError, match=r"Job \d+ \(first\) has ended: user_stopped"):
        cancel(remote.project, list_jobs(db, numbers=[number["first"]]))
    assert cancel(remote.project, list_jobs(db, numbers=[number["other"]])) == [number["other"]]
    assert is_idle(db)
    rerun(remote.project, list_jobs(db, numbers=[number["first"]]))
    assert state_of(db, number["first"]) == "READY"
    assert [state_of(db, number[n]) for n in ("second", "third")] == ["WAITING", "WAITING"]


def test_a_job_that_cannot_run_again_says_why(db, remote):
    submission = submit(db, Flow([divide(1, 2)]))
    with pytest.raises(InputError, match=r"Job 1 \(divide\).*READY"):
        rerun(remote.project, list_jobs(db))
    hold = {"state": "FAILED", "lock_id": "killed", "lock_time": datetime.now(UTC)}
    db.raw["jf_jobs"].update_one({"db_id": submission.jobs[0]}, {"$set": hold})
    with pytest.raises(InputError, match="forcebase jobs unlock 1"):
        rerun(remote.project, list_jobs(db))


def test_locks_of_killed_runners_are_found_and_taken_away(db, remote):
    flow = submit(db, Flow([divide(1, 2), divide(3, 4)])).flow
    day, now = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC)
    old = {"state": "CHECKED_OUT", "lock_id": "killed", "lock_time": day}
    db.raw["jf_jobs"].update_one({"db_id": "1"}, {"$set": old})
    db.raw["jf_jobs"].update_one({"db_id": "2"}, {"$set": {**old, "lock_time": now}})
    db.raw["jf_flows"].update_one({"uuid": flow}, {"$set": {"lock_id": "killed", "lock_time": day}})
    (found,) = long_locks(db)
    assert found.number == "1"
    assert found.locked == pytest.approx(86400, abs=60)
    assert locked_flows(db) == [flow]
    assert unlock(remote.project, [found], [flow]) == 2
    assert long_locks(db) == []
    assert locked_flows(db) == []
    assert [job.number for job in long_locks(db, seconds=0)] == ["2"]
    assert state_of(db, "1") == "CHECKED_OUT"


def test_the_command_line_shows_the_queue(db, remote):
    assert "none was ever submitted" in remote.forcebase("jobs").stdout
    submit(db, Flow([divide(1, 2, "with [brackets]")]))
    shown = remote.forcebase("jobs").stdout
    assert "READY" in shown
    assert "with [brackets]" in shown
    assert "1 jobs: 1 ready" in shown
    assert "No runner was started to work on them: jf runner start" in shown
    (job,) = json.loads(remote.forcebase("jobs", "--state", "ready", "--json").stdout)
    assert (job["number"], job["state"]) == ("1", "READY")
    assert json.loads(remote.forcebase("jobs", "--state", "failed", "--json").stdout) == []
    wrong = remote.forcebase("jobs", "--state", "tired", check=False)
    assert wrong.returncode == 2
    assert "'tired' is not a state of a job" in wrong.stderr
    absent = remote.forcebase("jobs", "unlock", "77", check=False)
    assert "The queue has no job 77" in absent.stderr
