"""A jobflow-remote project for the test's database, and runners that work its queue off."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from forked import run_command, start_runner
from queue_delays import ask_often
from ruamel.yaml import YAML
from waiting import PATIENCE

from forcebase.remote.project import RemoteProject, find_project, init_project


@dataclass(frozen=True)
class Remote:
    """A project and what a shell needs to know of it."""

    project: RemoteProject
    environment: dict[str, str]

    def run_queue(self) -> None:
        """Have a runner, a process of its own, work the queue off."""
        log = self.project.path.with_suffix(".log")
        runner = start_runner(self.project.name, self.environment, log, until_idle=True)
        try:
            code = runner.wait(4 * PATIENCE)
        except BaseException:
            runner.kill()
            raise
        assert code == 0, log.read_text()[-3000:]

    def forcebase(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command of forcebase."""
        done = run_command(arguments, self.environment)
        assert not check or done.returncode == 0, done.stderr
        return done


def network_namespace() -> list[str]:
    """The command that runs another one with no network at all; [] where that is not allowed."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            done = subprocess.run([*command, "true"], capture_output=True, timeout=PATIENCE)
        except OSError:
            continue
        if done.returncode == 0:
            return command
    return []


@pytest.fixture
def projects(tmp_path, monkeypatch):
    """An empty folder for jobflow-remote's projects."""
    folder = tmp_path / "projects"
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(folder))
    return folder


@pytest.fixture
def remote(db, settings, projects, jf):
    """The project of the test's database."""
    project = ask_often(init_project(settings)[0], settings, jf)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
        "OMP_NUM_THREADS": "1",
    }
    return Remote(project, environment)


@pytest.fixture
def cut_off(remote, settings, jf):
    """The same, its jobs without any network where this machine allows to take it away."""
    command = network_namespace()
    if not command:
        return remote
    content = remote.project.content
    for name in ("cpu", "gpu"):
        content["workers"][name]["execution_cmd"] = (
            f"{' '.join(command)} {jf} -fe execution run {{}}"
        )
    with remote.project.path.open("w") as file:
        YAML().dump(content, file)
    return replace(remote, project=find_project(settings))
