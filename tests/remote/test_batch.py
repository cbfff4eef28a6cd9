"""Many small jobs through the batch worker of this machine: few submissions, each job once."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobflow import Flow, Job

from forcebase.remote.placement import Place
from forcebase.remote.queue import list_jobs
from forcebase.remote.submission import submit

N_JOBS = 5


def note(number: int, path: Path) -> Job:
    """A job that tells a file its number."""
    told = f"open({str(path)!r}, 'a').write('{number}\\n')"
    return Job(eval, function_args=(told,), name=f"note {number}")


@pytest.mark.remote
def test_many_small_jobs_are_done_each_once_in_few_submissions(db, remote, tmp_path):
    notes = tmp_path / "notes"
    wrong = Job(eval, function_args=("1 / 0",), name="wrong")
    submit(db, Flow([wrong, *(note(n, notes) for n in range(N_JOBS))]), Place("batch"))
    remote.run_queue()
    states = {job.name: job.state for job in list_jobs(db)}
    assert states.pop("wrong") == "FAILED"  # and takes no other one along
    assert list(states.values()) == ["COMPLETED"] * N_JOBS
    assert sorted(map(int, notes.read_text().split())) == list(range(N_JOBS))
    stored = [found["name"] for found in db.job_store.query(properties=["name"])]
    assert sorted(stored) == sorted(states)
    folder = Path(remote.project.content["workers"]["batch"]["batch"]["work_dir"])
    assert 1 <= len(list(folder.rglob("submit.sh"))) < N_JOBS
