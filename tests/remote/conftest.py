"""A jobflow-remote project for the test's database, and runners that work its queue off."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from forcebase.remote.project import RemoteProject, init_project

RUN = """
import sys
from jobflow_remote.jobs.runner import Runner
Runner(project_name=sys.argv[1]).run_all_jobs(max_seconds=int(sys.argv[2]))
"""


@dataclass(frozen=True)
class Remote:
    """A project and what a shell needs to know of it."""

    project: RemoteProject
    environment: dict[str, str]

    def run_queue(self, seconds: int = 240) -> None:
        """Have a runner, a process of its own, work the queue off."""
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", RUN, self.project.name, str(seconds)],
            env=self.environment,
            check=True,
            timeout=seconds + 60,
        )

    def forcebase(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command of forcebase."""
        return subprocess.run(
            [sys.executable, "-m", "forcebase.cli.main", *map(str, arguments)],
            env=self.environment,
            check=check,
            capture_output=True,
            text=True,
            timeout=300,
        )


@pytest.fixture
def projects(tmp_path, monkeypatch):
    """An empty folder for jobflow-remote's projects."""
    folder = tmp_path / "projects"
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(folder))
    return folder


@pytest.fixture
def remote(db, settings, projects):
    """The project of the test's database."""
    project, _ = init_project(settings)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
        "OMP_NUM_THREADS": "1",
    }
    return Remote(project, environment)
