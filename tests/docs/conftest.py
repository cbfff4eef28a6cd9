"""A reader of the documents: a shell in a scratch clone, the database as `make demo` leaves it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from documents import ROOT, Block
from queue_delays import start_jobs_with
from warm_commands import COMMANDS

from forcebase.actions.main_job import DEMO_JOB, run_main_job
from forcebase.cli.filters import parse_filters
from forcebase.database.connection import open_client
from forcebase.database.database import Database
from forcebase.integrity.backup import write_backup
from forcebase.integrity.restore import restore_backup
from forcebase.models.training_settings import QUICK
from forcebase.settings import Settings

CLONE = ("data", "flows", "benchmarks", "tests", "db_config", "docs", "src", "pyproject.toml")
PATIENCE = 300.0
"""s for one command, on a machine with much other work; a longer one ends the document."""
SHELL = r"""
set -o pipefail
[ -f "$STATE" ] && . "$STATE"
{command}
code=$?
{{ declare -p | grep -v '^declare -[a-zA-Z]*r'; printf 'cd %q\n' "$PWD"; }} > "$STATE"
exit $code
"""
SECOND_DATABASE = "again"
"""What the documents call the database that they copy to."""
EPOCHS = 6
"""So that the model relaxes WSe2 to WSe2, and no more."""


@dataclass(frozen=True)
class Done:
    """What a command ended with, standard output and errors together."""

    command: str
    code: int
    text: str
    seconds: float


@dataclass
class Reader:
    """Types commands as a user does: each sees what those before it left, exports too."""

    folder: Path
    settings: Settings
    environment: dict[str, str]
    jf: Path
    done: list[Done] = field(default_factory=list)

    def run(self, command: str) -> Done:
        """Run a command in bash, in the folder and with the variables that the last one left."""
        output = self.folder.parent / "output.txt"
        started = time.monotonic()
        with output.open("w") as file:  # a file, as a daemon would keep a pipe open
            process = subprocess.Popen(
                ["bash", "-c", SHELL.format(command=command)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = -process.wait()
        seconds = time.monotonic() - started
        text = output.read_text(errors="replace")
        self.done.append(Done(command, code, text, seconds))
        for project in Path(self.environment["HOME"]).glob(".jfremote/*.yaml"):
            start_jobs_with(self.jf, project)
        assert code != -signal.SIGKILL, f"does not end: {command}\n{text}"
        return self.done[-1]

    def python(self, text: str) -> Done:
        """Run a Python block as a script."""
        script = self.folder.parent / f"block_{len(self.done)}.py"
        script.write_text(text)
        return self.run(f"python {script}")

    def save(self, block: Block) -> None:
        """Save a block under the name that the text gives it."""
        for note in block.all("file"):
            (self.folder / note.text).write_text(block.text)

    def find(self, query: str) -> str:
        """The first digits of the id of a record: `calculations kind=pristine-1x1`."""
        collection, *filters = query.split()
        db = Database(self.settings)
        try:
            wanted = parse_filters(db, filters, collection)
            found = db.collection(collection).one(**wanted)
            assert found is not None, query
            return str(found.id)[:10]
        finally:
            db.close()

    def stop(self) -> None:
        """End the daemons that commands started, which are known by their variables."""
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("FORCEBASE_DATABASE") == self.settings.database
                if mine and process.pid != os.getpid():
                    process.kill()
            except psutil.Error:
                continue


@pytest.fixture(scope="session")
def backup(server_home, once):
    """A database as `make demo` leaves it, its model trained in seconds, in a file."""
    with once("demo") as folder:
        path = folder / "demo.zip"
        if not path.is_file():
            _back_up_the_demo(server_home, folder)
        return path


def _back_up_the_demo(home: Path, folder: Path) -> None:
    settings = Settings(home=home, database=f"demo_{uuid.uuid4().hex[:12]}")
    job = replace(DEMO_JOB, settings=replace(QUICK, epochs=EPOCHS))
    db = Database(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_main_job(db, job, Path("forcebase-demo"))
    write_backup(db, folder / "demo.zip")
    db.client.drop_database(settings.database)
    db.close()


@pytest.fixture(scope="session")
def commands(programs):
    """A folder with a `forcebase`, `jf` and `python` that start at once, a hundred times."""
    return programs() / COMMANDS


@pytest.fixture
def reader(server_home, backup, commands, jf, tmp_path):
    """A reader with a clone and a database of his own, filled by the demo."""
    place = tmp_path / "forcebase"
    settings = Settings(home=server_home, database=f"docs_{uuid.uuid4().hex[:12]}")
    restore_backup(settings, backup)
    place.mkdir()
    for name in CLONE:
        (place / name).symlink_to(ROOT / name)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FORCEBASE_", "JFREMOTE_"))}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share")),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        "MPLCONFIGDIR": str(tmp_path.parent / "matplotlib"),
        "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STATE": str(tmp_path / "state.sh"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "FORCEBASE_HOME": str(server_home),
        "FORCEBASE_DATABASE": settings.database,
    }
    reading = Reader(place, settings, environment, jf)
    yield reading
    reading.stop()
    with open_client(settings) as client:
        for name in (settings.database, SECOND_DATABASE):
            client.drop_database(name)


@pytest.fixture(scope="session")
def lacking():
    """What a command needs -> why it cannot run here; None where it can."""

    def reason(what: str) -> str | None:
        found = {
            "chgnet": lambda: importlib.util.find_spec("chgnet") is not None,
            "gpaw": lambda: importlib.util.find_spec("gpaw") is not None,
            "sevennet": _has_sevennet,
            "slurm": lambda: (
                bool(shutil.which("slurmctld") and shutil.which("munged")) and os.geteuid() == 0
            ),
        }[what]()
        return None if found else f"{what} is not here"

    return reason


def _has_sevennet() -> bool:
    from forcebase.errors import MissingDependencyError
    from forcebase.models.third_party.environments import python_of

    try:
        python_of("SevenNet")
    except MissingDependencyError:
        return False
    return True
