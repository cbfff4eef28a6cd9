"""`forcebase launch --remote` and what follows it, as a user types them."""

from __future__ import annotations

import json

import pytest

FLOW_FILE = '''
"""A flow whose job is written in the flow file itself."""

from jobflow import Flow, job


@job
def double(number):
    return 2 * number


def build(number: int = 21):
    first = double(number)
    second = double(first.output)
    first.name, second.name = "first", "second"
    return Flow([first, second], name="doubling")
'''


@pytest.fixture
def flow_file(tmp_path):
    folder = tmp_path / "my flows"
    folder.mkdir()
    path = folder / "doubling.py"
    path.write_text(FLOW_FILE)
    return path


@pytest.mark.remote
def test_jobs_of_a_flow_file_run_on_a_worker(db, remote, flow_file):
    done = remote.forcebase(
        "launch", flow_file, "--remote", "--set", "number=10", "--worker", "second=gpu", "--json"
    )
    submission = json.loads(done.stdout)
    assert submission["workers"] == ["cpu", "gpu"]
    assert submission["unmatched"] == []
    remote.run_queue()
    outputs = {found["name"]: found["output"] for found in db.job_store.query()}
    assert outputs == {"first": 20, "second": 40}
    collected = remote.forcebase("collect", "--watch", "--until-done", "--json")
    (report,) = [json.loads(line) for line in collected.stdout.splitlines()]
    assert sorted(report["unknown"]) == ["first", "second"]


def test_the_next_steps_are_told(db, remote, flow_file):
    told = remote.forcebase("launch", flow_file, "--remote", "--worker", "third=batch").stdout
    assert "2 jobs in the queue" in told
    assert "has 'third' in its name yet" in told
    assert f"jf -p {remote.project.name} runner start" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--worker", "cpu"], "are for --remote"),
        (["--remote", "--worker", "cpu", "--worker", "gpu"], "all other jobs"),
        (["--remote", "--worker", "slurm"], "no worker 'slurm'"),
        (["--remote", "--resources", "first"], "no value"),
        (["--remote", "--resources", "first=many"], "not JSON"),
        (["--remote", "--resources", "first=3"], "not a table"),
        (["--remote", "--project", "other"], "named 'other'"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_submitted(db, remote, flow_file, arguments, message):
    done = remote.forcebase("launch", flow_file, *arguments, check=False)
    assert done.returncode in (2, 3)
    assert message in " ".join(done.stderr.split())
    assert db.raw["jf_jobs"].count_documents({}) == 0


def test_init_tells_where_and_writes_jobflows_own_file(remote, tmp_path):
    told = json.loads(
        remote.forcebase("remote", "init", "--jobflow", tmp_path / "jobflow.yaml", "--json").stdout
    )
    assert told["project"] == remote.project.name
    assert told["new"] is False
    assert (tmp_path / "jobflow.yaml").stat().st_mode & 0o777 == 0o600
    assert "already" in remote.forcebase("remote", "init").stdout
