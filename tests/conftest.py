"""A real MongoDB for the tests: a server and a database a worker, emptied after each test."""

from __future__ import annotations

import suite_environment  # noqa: F401

# isort: split

import fcntl
import importlib
import os
import pickle
import shutil
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from ase.io import read
from imported_files import ImportedFiles
from quick_server import hurry
from shared_database import SharedDatabase
from warm_commands import JOBS, PROGRAMS, OnDemand, use_programs, warm_commands

from forcebase.database.database import Database
from forcebase.database.job_store import open_job_store
from forcebase.database.server import EmbeddedServer
from forcebase.frames import Frames
from forcebase.makers import training as makers_training
from forcebase.makers.training import MACETrainMaker, split_frames
from forcebase.models import conversion, mace_training
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.mace_training import Epoch, TrainedModel, train_mace
from forcebase.models.training_settings import QUICK, TrainingSettings
from forcebase.outputs import CurationOutput, ModelOutput
from forcebase.physics.reference_energies import fit_e0s
from forcebase.settings import Settings

pytest_plugins = ("suite_plugin",)

# A shell that starts the tests in the background has them ignore Ctrl-C, and their children too:
# commands that are to be interrupted here must hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).parents[1] / "data" / "wse2_gpaw"


def pytest_terminal_summary(terminalreporter):
    """Say what of the documentation was not run here, or not as it is written."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    lines = dict.fromkeys(text for name, text in properties if name == "documentation")
    if lines:
        terminalreporter.section(f"documentation: {len(lines)} commands not run as written")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def server_home(tmp_path_factory):
    """Home of the worker's server, on a free port, stopped at the end."""
    home = tmp_path_factory.mktemp("forcebase")
    hurry(EmbeddedServer(home))
    yield home
    EmbeddedServer(home).stop()
    shutil.rmtree(home)  # 300 MB, which pytest would keep


@pytest.fixture(scope="session", autouse=True)
def programs(tmp_path_factory) -> Callable[[], Path]:
    """Starts commands, jobs, trainings and conversions without their imports, when asked.

    It gives the folder of their programs, which all workers share.
    """

    @cache
    def folder() -> Path:
        top = os.getppid() if os.environ.get("PYTEST_XDIST_WORKER") else os.getpid()
        made = warm_commands(shared_by_workers(tmp_path_factory) / "warm", top)
        os.environ[PROGRAMS] = str(made / JOBS)
        return made

    use_programs(lambda name: OnDemand(lambda: folder() / JOBS, name))
    return folder


@pytest.fixture
def fresh_processes(monkeypatch) -> None:
    """Trainings and conversions start as they do elsewhere."""
    monkeypatch.delenv(PROGRAMS, raising=False)
    for module, name in ((mace_training, "mace_process"), (conversion, "mace_conversion")):
        command = (sys.executable, "-m", f"forcebase.models.{name}")
        monkeypatch.setattr(module, "COMMAND", command)


@pytest.fixture(scope="session")
def jf(programs) -> Path:
    """The program of jobflow-remote with which jobs start at once."""
    return programs() / JOBS / "jf"


@pytest.fixture(scope="session")
def new_settings(server_home) -> Callable[[], Settings]:
    """A function that gives settings of a database that is not there yet."""
    return lambda: Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def new_database(new_settings) -> Iterator[Callable[[], Database]]:
    """A function that makes a database of its own, for fixtures that outlive a test."""
    made: list[Database] = []

    def make() -> Database:
        made.append(Database(new_settings()))
        return made[-1]

    yield make
    for db in made:
        db.client.drop_database(db.settings.database)
        db.close()


@pytest.fixture(scope="session")
def shared_database(new_settings) -> Iterator[SharedDatabase]:
    shared = SharedDatabase(new_settings())
    yield shared
    shared.close()


@pytest.fixture
def settings(shared_database) -> Iterator[Settings]:
    """Settings of an empty database, emptied again after the test."""
    yield shared_database.settings
    shared_database.empty()


@pytest.fixture
def db(settings) -> Iterator[Database]:
    """An empty database."""
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def other_database(new_settings) -> Iterator[SharedDatabase]:
    shared = SharedDatabase(new_settings())
    yield shared
    shared.close()


@pytest.fixture
def other_db(other_database) -> Iterator[Database]:
    """A second empty database on the same server."""
    opened = Database(other_database.settings)
    yield opened
    opened.close()
    other_database.empty()


@pytest.fixture(scope="session")
def data_folder():
    """The real DFT data that comes with the project."""
    return DATA


@pytest.fixture(scope="session")
def imported(new_database, data_folder) -> ImportedFiles:
    """Puts files of the real data into a database: `imported(db, "wse2_gpaw_pbe.extxyz")`."""
    return ImportedFiles(data_folder, new_database())


@dataclass(frozen=True)
class Training:
    """A training, its inputs and what was heard of it; `folder` holds MACE's own files."""

    splits: dict[str, Frames]
    e0s: dict[str, float]
    settings: TrainingSettings
    folder: Path
    heard: list[Epoch]
    trained: TrainedModel


@dataclass(frozen=True)
class QuickModel:
    """A real MACE model of seconds: it works and is no good.

    Attributes:
        frames: its 13 cells of 3, 11 and 12 atoms with PBE labels, the sizes mixed.
        selection: which of them are in which split, and the E0s.
        output: what `MACETrainMaker` returned.
        training: what its job did.
    """

    frames: Frames
    selection: CurationOutput
    output: ModelOutput
    training: Training

    @property
    def splits(self) -> dict[str, Frames]:
        return split_frames(self.frames, self.selection)

    def load(self) -> LoadedModel:
        """The model in float64, loaded once a process."""
        return load_mace(self.output["neutral"].data, self.output["weights_sha256"])


def shared_by_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if os.environ.get("PYTEST_XDIST_WORKER") else folder


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str], AbstractContextManager[Path]]:
    """`once(name)` gives a folder that all workers of this run share, one after another."""
    shared = shared_by_workers(tmp_path_factory)

    @contextmanager
    def locked(name: str) -> Iterator[Path]:
        folder = shared / name
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder

    return locked


@pytest.fixture(scope="session")
def quick_model(server_home, once, data_folder):
    """One MACE training for all tests of all workers, by the maker, with QUICK settings."""
    frames = _some_cells(data_folder / "wse2_gpaw_pbe.extxyz")
    selection = _selection(frames)
    with once("quick_model") as folder:
        kept = folder / "output.pickle"
        if not kept.is_file():
            kept.write_bytes(pickle.dumps(_train(server_home, folder, frames, selection)))
        return QuickModel(frames, selection, *pickle.loads(kept.read_bytes()))


def _train(
    home: Path, folder: Path, frames: Frames, selection: CurationOutput
) -> tuple[ModelOutput, Training]:
    """Run the maker's job, and keep what it hears and MACE's files, which it would delete."""
    done: list[Training] = []

    def train_and_keep(*arguments: Any, **keywords: Any) -> TrainedModel:
        given = signature(train_mace).bind(*arguments, **keywords)
        heard: list[Epoch] = []
        told = given.arguments["on_epoch"]
        given.arguments["on_epoch"] = lambda epoch: (heard.append(epoch), told(epoch))
        trained = train_mace(*given.args, **given.kwargs)
        kept = folder / "mace"
        shutil.copytree(given.arguments["folder"], kept, dirs_exist_ok=True)
        splits, e0s, settings = (given.arguments[name] for name in ("splits", "e0s", "settings"))
        done.append(Training(splits, e0s, settings, kept, heard, trained))
        return trained

    candidates = {"forcebase": "candidates", "frames": frames.to_blob()}
    job = MACETrainMaker(settings=QUICK).make(candidates, selection)
    server = EmbeddedServer(home)
    server.start()
    store = open_job_store(server.uri, "quick_model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(makers_training, "train_mace", train_and_keep)
        return job.run(store).output, done[0]


def _some_cells(path: Path) -> Frames:
    """The first 7 unit cells, 3 vacancy cells and 3 2x2 cells, sizes mixed."""
    cells = read(path, ":")
    sizes = {n: iter([atoms for atoms in cells if len(atoms) == n]) for n in (3, 11, 12)}
    chosen = [next(sizes[n]) for n in (3, 12, 3, 11, 3, 3, 12, 3, 11, 3, 12, 3, 11)]
    return Frames.from_atoms(
        chosen,
        ids=[f"c{i:02}" for i in range(len(chosen))],
        methods=["pbe"] * len(chosen),
        energies=[atoms.info["REF_energy"] for atoms in chosen],
        forces=[atoms.arrays["REF_forces"] for atoms in chosen],
        stresses=[atoms.info["REF_stress"] for atoms in chosen],
    )


def _selection(frames: Frames) -> CurationOutput:
    """Train on the first nine cells, choose the epoch by the next two, test on the last two."""
    splits = ["train"] * 9 + ["valid"] * 2 + ["test"] * 2
    return {
        "forcebase": "curation",
        "name": "quick",
        "version": 1,
        "parent": None,
        "query": {},
        "method": "pbe",
        "members": [
            {"calculation": str(name), "structure": str(name), "family": str(name), "split": split}
            for name, split in zip(frames.ids, splits, strict=True)
        ],
        "dropped": [],
        "steps": [],
        "e0s": fit_e0s(frames.numbers, frames.owners, frames.energies),
        "e0s_source": "fitted",
        "wall_time": 0.0,
    }


@dataclass
class Counter:
    """A function that counts how often it is called."""

    function: Callable[..., Any]
    calls: int = 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.calls += 1
        return self.function(*arguments, **keywords)


@pytest.fixture
def counted(monkeypatch) -> Callable[[str, str], Counter]:
    """`counted(module, name)` counts the calls of a function, from all modules that import it."""

    def count(module: str, name: str) -> Counter:
        found = Counter(getattr(importlib.import_module(module), name))
        for loaded in list(sys.modules.values()):
            if getattr(loaded, "__name__", "").startswith("forcebase"):
                for key, value in list(vars(loaded).items()):
                    if value is found.function:
                        monkeypatch.setattr(loaded, key, found)
        return found

    return count


@pytest.fixture
def store(db):
    """The JobStore of a fresh database."""
    return db.job_store
