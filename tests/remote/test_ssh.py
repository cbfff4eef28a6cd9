"""A worker that is reached over SSH: inputs and outputs are moved, nothing is shared."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from waiting import PATIENCE, wait_until

from forcebase.actions.flow_files import load_flow
from forcebase.ingest.collect import collect
from forcebase.ingest.outputs import model_batch
from forcebase.records import Activity
from forcebase.remote.placement import Place
from forcebase.remote.project import find_project
from forcebase.remote.queue import list_jobs
from forcebase.remote.submission import submit

FLOW = Path(__file__).with_name("heavy_flow.py")
SERVER = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile {folder}/pid
PasswordAuthentication no
UsePAM no
StrictModes no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class SshServer:
    """A server of this user on loopback, and the key that it takes."""

    port: int
    key: Path


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory) -> Iterator[SshServer]:
    """A real sshd with keys of its own; skipped where it is not installed."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        assert not os.environ.get("FORCEBASE_GATE")  # the gate has installed it
        pytest.skip("sshd not found: apt install openssh-server")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(SERVER.format(port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of root wants it
    process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")])
    try:
        wait_until(lambda: _is_open(port))
        yield SshServer(port, folder / "user")
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


@pytest.fixture
def over_ssh(remote, ssh_server, settings, tmp_path):
    """The project with a worker `cluster` on the other side of the server."""
    content = remote.project.content
    content["workers"]["cluster"] = {
        "type": "remote",
        "host": "127.0.0.1",
        "port": ssh_server.port,
        "user": getpass.getuser(),
        "key_filename": str(ssh_server.key),
        "scheduler_type": "shell",
        "work_dir": str(tmp_path / "there"),
        "pre_run": f"export PATH={Path(sys.executable).parent}:$PATH OMP_NUM_THREADS=1",
    }
    with remote.project.path.open("w") as file:
        YAML().dump(content, file)
    return replace(remote, project=find_project(settings))


@pytest.mark.remote
def test_inputs_and_outputs_are_moved(db, over_ssh, quick_model, tmp_path):
    batch = model_batch(
        db,
        {
            **quick_model.output,
            "kind": "ASE",
            "neutral": None,
            "dataset": None,
            "dataset_job": None,
        },
    )
    batch.write(db, Activity(id="training:1", kind="job", name="train"))
    db.names.name("quick", "methods", batch.methods[0].id)
    arguments = {"model": "quick", "phonon": "{}", "n_bytes": "3000000", "n_atoms": "20"}
    flow = load_flow(db, FLOW, arguments)
    submit(db, flow, Place("cluster", modules=FLOW.parent))
    over_ssh.run_queue()
    assert {job.state for job in list_jobs(db)} == {"COMPLETED"}
    assert len(list((tmp_path / "there").rglob("jfremote_out.json"))) == 3
    measured = db.job_store.query_one({"name": "measure"})["output"]
    assert measured["published"][1] == batch.methods[0].weights
    assert measured["model"][0] == 3_000_000
    assert collect(db).added == {"methods": 1}
    assert len(db.blobs.get(measured["model"][1])) == 3_000_000
