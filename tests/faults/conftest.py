"""Real processes to be killed: runners, collectors, jobs and servers of a place of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from forked import Forked, run_command, start_command, start_runner
from pymongo.errors import PyMongoError
from queue_delays import ask_often
from waiting import PATIENCE, wait_until

from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.records.base import document_checksum
from forcebase.remote.project import RemoteProject, init_project
from forcebase.settings import Settings

VOLATILE = ("created_at", "checksum")
OF_A_RUN = ("job", "finished_at", "run", "checksum")


@dataclass
class Site:
    """A database, its jobflow-remote project, and the processes that a test started there."""

    db: Database
    project: RemoteProject
    folder: Path
    environment: dict[str, str]
    processes: list[Forked] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return self.db.settings

    def forcebase(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command of forcebase to its end."""
        done = run_command(arguments, self.environment)
        assert not check or done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def start_forcebase(self, *arguments: str) -> Forked:
        """Start a command of forcebase; its output goes to a file."""
        log = self.folder / f"{arguments[0]}.log"
        return self._started(start_command(arguments, self.environment, log))

    def start_runner(self, before: str = "") -> Forked:
        """Start a runner, after some code that it is to run first."""
        log = self.folder / "runner.log"
        return self._started(start_runner(self.project.name, self.environment, log, before=before))

    def _started(self, process: Forked) -> Forked:
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        """What the processes of a name printed."""
        return (self.folder / f"{name}.log").read_text()

    def kill(self, process: Forked) -> None:
        """kill -9."""
        process.kill()
        process.wait()

    def kill_mongod(self) -> None:
        """kill -9 of the embedded server."""
        pid = EmbeddedServer(self.settings.home).status().pid
        assert pid is not None
        process = psutil.Process(pid)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=PATIENCE)

    def answers(self) -> bool:
        """Whether the server is there."""
        try:
            return bool(self.db.client.admin.command("ping"))
        except PyMongoError:
            return False

    def process_of(self, folder: str) -> psutil.Process | None:
        """The Python process of a job, by its folder."""
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if folder in words and "python" in words[0]:
                return process
        return None

    def states(self) -> dict[str, str]:
        """State of each job of the queue by its name; the last one of those that were replaced."""
        found = self.db.raw["jf_jobs"].find({}, {"job.name": 1, "state": 1}).sort("index", 1)
        return {job["job"]["name"]: job["state"] for job in found}

    def wait_until_completed(self) -> None:
        """Wait until all jobs of the queue are."""
        wait_until(
            lambda: set(self.states().values()) == {"COMPLETED"},
            lambda: f"{self.states()}\n{self.log('runner')[-3000:]}",
        )

    def doctor(self) -> dict[str, dict[str, Any]]:
        """What is not well, by what it is."""
        found = json.loads(self.forcebase("doctor", "--json", check=False).stdout)
        return {finding["what"]: finding for finding in found if not finding["ok"]}

    def end(self) -> None:
        """End what was started and still runs."""
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)
        self.db.close()


def _contents(db: Database) -> dict[str, dict[str, Any]]:
    """All records, blobs and activities by id, but for when, and for who was first.

    Every record is whole: its checksum and its digest are those of what is stored.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, collection in db.record_collections.items():
        found[name] = {}
        for record in collection.find():
            assert record.digest() == record.id
        for row in collection.raw.find():
            assert row["checksum"] == document_checksum(row), f"{name} {row['_id']}"
            row["provenance"].pop("activity", None)
            found[name][row["_id"]] = {k: v for k, v in row.items() if k not in VOLATILE}
    found["members"] = {row["_id"]: row for row in db.members.raw.find()}
    found["activities"] = {
        row["_id"]: {k: v for k, v in row.items() if k not in OF_A_RUN}
        for row in db.activities.raw.find({"kind": {"$ne": "failure"}})
    }
    names = [file["_id"] for file in db.raw["blobs.files"].find({}, {"_id": 1})]
    found["blobs"] = {name: len(db.blobs.get(name)) for name in names}
    assert {row["dataset"] for row in found["members"].values()} <= set(found["datasets"])
    return found


@pytest.fixture
def contents() -> Callable[[Database], dict[str, dict[str, Any]]]:
    """All that a database holds, checked."""
    return _contents


@pytest.fixture
def record_ids() -> Callable[[Database], dict[str, set[str]]]:
    """Ids of all records, checked; activities are left out, for another run has other jobs."""

    def ids(db: Database) -> dict[str, set[str]]:
        return {name: set(rows) for name, rows in _contents(db).items() if name != "activities"}

    return ids


@pytest.fixture
def projects(tmp_path, monkeypatch) -> Path:
    """An empty folder for jobflow-remote's projects."""
    folder = tmp_path / "projects"
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(folder))
    return folder


def _make_site(settings: Settings, folder: Path, jf: Path) -> Site:
    """The project of a database, in which failed steps are tried again at once."""
    db = Database(settings)
    project = ask_often(init_project(settings)[0], settings, jf)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
        "OMP_NUM_THREADS": "1",
    }
    return Site(db, project, folder, environment)


@pytest.fixture
def site(settings, tmp_path, projects, jf) -> Iterator[Site]:
    """A fresh database of the session's server, which is not to be killed."""
    made = _make_site(settings, tmp_path, jf)
    yield made
    made.end()


@pytest.fixture
def own_site(tmp_path, projects, jf) -> Iterator[Site]:
    """A server of its own, to be killed."""
    settings = Settings(home=tmp_path / "home")
    made = _make_site(settings, tmp_path, jf)
    yield made
    made.end()
    EmbeddedServer(settings.home).stop()
    shutil.rmtree(settings.home)


@pytest.fixture
def here(other_db) -> Database:
    """Another database: what an undisturbed run gives."""
    return other_db


@pytest.fixture
def spreading() -> Path:
    """A flow file: jobs of seconds, one replaced by two others, one that waits for them."""
    return Path(__file__).with_name("spreading_flow.py")
