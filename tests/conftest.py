"""A real MongoDB for the tests: one embedded server a session, one database a test."""

from __future__ import annotations

import shutil
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from ase.io import read

from forcebase.database.connection import open_client
from forcebase.database.database import Database
from forcebase.database.job_store import open_job_store
from forcebase.database.server import EmbeddedServer
from forcebase.frames import Frames
from forcebase.makers.training import MACETrainMaker, split_frames
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.training_settings import QUICK
from forcebase.outputs import CurationOutput, ModelOutput
from forcebase.physics.reference_energies import fit_e0s
from forcebase.settings import Settings

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
    """Home of the session's server, on a free port, stopped at the end."""
    home = tmp_path_factory.mktemp("forcebase")
    yield home
    EmbeddedServer(home).stop()
    shutil.rmtree(home)  # 300 MB, which pytest would keep


@pytest.fixture
def settings(server_home):
    """Settings of a fresh database, dropped after the test."""
    made = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    yield made
    with open_client(made) as client:
        client.drop_database(made.database)


@pytest.fixture
def db(settings):
    """A fresh database."""
    opened = Database(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def data_folder():
    """The real DFT data that comes with the project."""
    return DATA


@dataclass(frozen=True)
class QuickModel:
    """A real MACE model of seconds: it works and is no good.

    Attributes:
        frames: its 13 cells of 3, 11 and 12 atoms with PBE labels, the sizes mixed.
        selection: which of them are in which split, and the E0s.
        output: what `MACETrainMaker` returned.
    """

    frames: Frames
    selection: CurationOutput
    output: ModelOutput

    @property
    def splits(self) -> dict[str, Frames]:
        return split_frames(self.frames, self.selection)

    def load(self) -> LoadedModel:
        """The model in float64, loaded once a process."""
        return load_mace(self.output["weights"].data, self.output["weights_sha256"])


@pytest.fixture(scope="session")
def quick_model(server_home, tmp_path_factory, data_folder):
    """One MACE training for all tests of the session, by the maker, with QUICK settings."""
    frames = _some_cells(data_folder / "wse2_gpaw_pbe.extxyz")
    selection = _selection(frames)
    job = MACETrainMaker(settings=QUICK).make(
        {"forcebase": "candidates", "frames": frames.to_blob()}, selection
    )
    server = EmbeddedServer(server_home)
    server.start()
    store = open_job_store(server.uri, "quick_model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("quick"))
        output = job.run(store).output
    return QuickModel(frames, selection, output)


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


@pytest.fixture
def store(db):
    """The JobStore of a fresh database."""
    return db.job_store
