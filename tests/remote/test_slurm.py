"""Jobs through a Slurm that really runs; skipped, with the reason, where it cannot."""

from __future__ import annotations

import json
import operator
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jobflow import Flow, Job
from qtoolkit.core.data_objects import QResources
from ruamel.yaml import YAML
from waiting import PATIENCE

from forcebase.ingest.collect import collect
from forcebase.remote.placement import Place, place
from forcebase.remote.project import find_project
from forcebase.remote.submission import submit

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def slurm_conf(tmp_path_factory) -> Iterator[Path]:
    """A cluster of this machine, by the script that comes with the tests."""
    folder = tmp_path_factory.mktemp("slurm")
    script = [sys.executable, HERE / "start_slurm.py", folder]
    done = subprocess.run(script, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode and not os.environ.get("FORCEBASE_GATE"):  # the gate has installed it
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    yield folder / "slurm.conf"
    subprocess.run([*script, "--stop"], check=True, timeout=PATIENCE)


@pytest.fixture
def slurm(remote, slurm_conf, settings, tmp_path):
    """The project with the commented Slurm workers uncommented and filled in."""
    path = remote.project.path
    path.write_text(_with_slurm(path.read_text(), tmp_path))
    environment = {**remote.environment, "SLURM_CONF": str(slurm_conf)}
    return replace(remote, project=find_project(settings), environment=environment)


def _with_slurm(text: str, folder: Path) -> str:
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("#   slurm:"))
    end = lines.index("", start)
    lines[start:end] = [line[2:] for line in lines[start:end]]
    content = YAML(typ="safe").load("\n".join(lines))
    path = f"export PATH={Path(sys.executable).parent}:$PATH OMP_NUM_THREADS=1"
    for name in ("slurm", "slurm_batch"):
        worker = content["workers"][name]
        worker.pop("host")
        (folder / name).mkdir()
        worker |= {"type": "local", "work_dir": str(folder / name), "pre_run": path}
        worker["resources"] = {"nodes": 1, "ntasks": 1, "time": "00:30:00", "partition": "short"}
    content["workers"]["slurm_batch"]["batch"] = {
        "jobs_handle_dir": str(folder / "handle"),
        "work_dir": str(folder / "processes"),
        "max_wait": 3,
        "sleep_time": 1,
    }
    lines = []
    YAML().dump(content, _Lines(lines))
    return "".join(lines)


class _Lines:
    """A file for ruamel that is a list of texts."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lambda data: lines.append(data.decode() if isinstance(data, bytes) else data)


def slurm_jobs(slurm) -> list[str]:
    """What Slurm knows of its jobs, one line each."""
    done = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"],
        env=slurm.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.slurm
@pytest.mark.remote
def test_jf_finds_nothing_to_complain_about(slurm):
    jf = Path(sys.executable).parent / "jf"
    command = [jf, "-p", slurm.project.name, "project", "check", "--worker", "slurm", "--errors"]
    done = subprocess.run(command, env=slurm.environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert "✓ Worker slurm" in done.stdout


@pytest.mark.slurm
@pytest.mark.remote
def test_each_job_gets_the_resources_that_it_asks_for(db, slurm):
    jobs = [
        Job(operator.add, function_args=(n, 1), name=name)
        for n, name in enumerate(("as the worker says", "by a table", "by QResources"))
    ]
    flow = place(
        Flow(jobs),
        workers={"by": "slurm"},
        resources={
            "table": {"nodes": 1, "ntasks": 2, "partition": "long", "time": "02:00:00"},
            "QResources": QResources(queue_name="long", processes=1, time_limit=3600),
        },
    )
    submit(db, flow, Place("slurm"))
    slurm.run_queue()
    assert [found["output"] for found in db.job_store.query(sort={"name": 1})] == [1, 3, 2]
    found = {re.search(r"JobName=(\S+)", line)[1]: line for line in slurm_jobs(slurm)}
    for name, partition, time, tasks in (
        ("as_the_worker_says", "short", "00:30:00", 1),
        ("by_a_table", "long", "02:00:00", 2),
        ("by_QResources", "long", "01:00:00", 1),
    ):
        assert f"Partition={partition} " in found[name]
        assert f"TimeLimit={time} " in found[name]
        assert f"NumTasks={tasks} " in found[name]
        assert "JobState=COMPLETED" in found[name]


@pytest.mark.slurm
@pytest.mark.remote
def test_many_small_jobs_share_an_allocation(db, slurm):
    before = len(slurm_jobs(slurm))
    jobs = [Job(operator.add, function_args=(n, 1), name=f"small {n}") for n in range(8)]
    submit(db, Flow(jobs), Place("slurm_batch"))
    slurm.run_queue()
    outputs = list(db.job_store.query(properties=["name", "output"]))
    assert sorted(found["output"] for found in outputs) == list(range(1, 9))
    assert len({found["name"] for found in outputs}) == len(outputs) == 8
    assert 1 <= len(slurm_jobs(slurm)) - before <= 2


@pytest.mark.slurm
@pytest.mark.remote
@pytest.mark.dft
def test_a_flow_of_forcebase_as_a_user_runs_it(db, slurm):
    launched = slurm.forcebase(
        *("launch", HERE / "cheap_dft_flow.py", "--set", "n_unit_cells=1"),
        *("--remote", "--worker", "slurm", "--worker", "sample=cpu"),
        *("--resources", 'GPAW={"nodes": 1, "ntasks": 1, "time": "00:20:00"}', "--json"),
    )
    assert json.loads(launched.stdout)["workers"] == ["cpu", "slurm"]
    slurm.run_queue()
    slurm.forcebase("collect", "--watch", "--until-done")
    (calculation,) = db.calculations.find()
    assert calculation.converged
    assert collect(db).jobs == 0
    job = next(line for line in slurm_jobs(slurm) if "JobName=GPAW" in line)
    assert "TimeLimit=00:20:00 " in job
