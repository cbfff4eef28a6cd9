"""Jobs that are killed or have no disk: a record of it, and the way back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobflow import Flow
from waiting import wait_until

from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.ingest.collect import collect
from forcebase.makers.sampling import SampleStructuresMaker
from forcebase.physics.sampling import CellDraws, SamplingPlan
from forcebase.remote.queue import list_jobs
from forcebase.remote.submission import submit

pytestmark = pytest.mark.faults


@pytest.fixture(scope="session")
def jf() -> Path:
    """Jobs start as they do elsewhere: it takes seconds, in which they can be killed."""
    return Path(sys.executable).with_name("jf")


def test_a_killed_job(site, here, spreading, record_ids):
    assert not run_here(here, load_flow(here, spreading, {"alone": "true"})).failed
    submit(site.db, load_flow(site.db, spreading, {"alone": "true"}))
    site.start_runner()
    folder = wait_until(lambda: list_jobs(site.db)[0].folder)
    wait_until(lambda: site.process_of(folder), often=0.02).kill()
    wait_until(lambda: "FAILED" in site.states().values())
    assert site.forcebase("collect").stdout.count("failed draw 1") == 1
    for _ in range(2):
        assert collect(site.db).failures == []
    (found,) = site.db.activities.find(kind="failure")
    assert "likely killed" in found.error or "was not present" in found.error
    assert (found.job["folder"], found.resolved) == (folder, False)

    assert site.doctor()["jobs"]["found"] == "1 failed: 1"
    site.forcebase("jobs", "rerun", "--failed")
    site.wait_until_completed()
    site.forcebase("collect")
    assert site.db.activities.one(kind="failure").resolved
    assert site.db.activities.count() == 2
    assert record_ids(site.db) == record_ids(here)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 120 kB: enough for the input of a job, not for its output."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(site, here, spreading, small_disk, record_ids):
    text = site.project.path.read_text()
    jobs = str(Path(site.project.content["workers"]["cpu"]["work_dir"]))
    site.project.path.write_text(text.replace(jobs, str(small_disk)))
    cell = load_flow(here, spreading, {"alone": "true"}).jobs[0].function_args[0]
    maker = SampleStructuresMaker(plan=SamplingPlan(cells=(CellDraws(size=1, count=150),)))
    run_here(here, Flow([maker.make(cell)]))
    submit(site.db, Flow([maker.make(cell)]))
    site.start_runner()
    wait_until(lambda: "FAILED" in site.states().values())
    assert [name for name, _ in collect(site.db).failures] == ["sample structures"]
    told = site.db.activities.one(kind="failure").reason
    assert f"The disk of {small_disk}" in told
    assert "is full" in told

    command = ["mount", "-o", "remount,size=50m", str(small_disk)]
    subprocess.run(command, check=True)
    site.forcebase("jobs", "rerun", "--failed")
    site.wait_until_completed()
    collect(site.db)
    assert site.db.activities.one(kind="failure").resolved
    assert record_ids(site.db) == record_ids(here)
