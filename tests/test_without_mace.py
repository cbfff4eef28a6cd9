"""Without torch and MACE, all works that does not need them, and the rest says so."""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from forcebase.database.database import Database
from forcebase.ingest.batch import Batch
from forcebase.ingest.importing import import_paths
from forcebase.ingest.outputs import model_batch
from forcebase.records import Activity, Calculation
from forcebase.settings import Settings

FLOWS = Path(__file__).parents[1] / "flows"
MISSING_DEPENDENCY = 7

BLOCKER = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "mace", "e3nn"):
            raise ImportError(f"No module named {name!r}")

sys.meta_path.insert(0, Blocked())
"""
"""Python runs a file sitecustomize.py of the path as it starts, worker processes included."""

DRIVER = """
import io, json, sys
from contextlib import redirect_stdout
import forcebase
from forcebase.cli.main import app
from forcebase.errors import ForcebaseError

answers = []
for command in json.load(sys.stdin):
    out, said, code = io.StringIO(), "", 0
    with redirect_stdout(out):
        try:
            code = app(command, standalone_mode=False) or 0
        except ForcebaseError as error:
            said, code = f"{error.message} | {error.hint}", error.exit_code
        except SystemExit as end:
            code = end.code
    answers.append({"code": code, "out": out.getvalue(), "said": said})
assert not {"torch", "mace", "e3nn"} & sys.modules.keys()
json.dump(answers, sys.stdout)
"""
"""Commands, one after another in one process: each starts anew in seconds."""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    said: str


@pytest.fixture(scope="module")
def filled(server_home, data_folder, quick_model):
    """DFT records, and a MACE with a label of one of its cells: a database made elsewhere."""
    settings = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    db = Database(settings)
    files = ("wse2_gpaw_unitcell.extxyz", "wse2_gpaw_pbe.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
    import_paths(db, [data_folder / name for name in files])
    made = model_batch(db, {**quick_model.output, "dataset": None, "dataset_job": None})
    made.write(db, Activity(id="training:1", kind="job", name="train"))
    [model] = made.methods
    reference = db.calculations.one()
    structure = db.structures.get(reference.structure)
    label = Calculation.of(structure, model, energy=reference.energy, forces=reference.forces)
    Batch(calculations=[label]).write(db, Activity(id="prediction:1", kind="job", name="predict"))
    db.names.name("mace", "methods", model.id)
    db.names.name("pbe", "methods", reference.method)
    yield db
    db.client.drop_database(settings.database)
    db.close()


@pytest.fixture
def run(filled, tmp_path):
    """Runs commands where torch, mace and e3nn cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    place = {
        "FORCEBASE_HOME": str(filled.settings.home),
        "FORCEBASE_DATABASE": filled.settings.database,
    }

    def _run(*commands):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER],
            input=json.dumps([[str(word) for word in command] for command in commands]),
            env={**kept, **place, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [Answer(**answer) for answer in json.loads(done.stdout)]

    return _run


def test_records_are_read_and_written_and_flows_run(run, filled, data_folder, tmp_path):
    commands = {
        "help": ["--help"],
        "import": ["import", data_folder / "wse2_gpaw_3x3_displacements.extxyz", "--json"],
        "ls": ["ls", "methods", "--json"],
        "show": ["show", "mace", "--json"],
        "trace": ["trace", "mace", "--json"],
        "compare": ["compare", "mace", "pbe", "--on", "elements=Se,W", "--json"],
        "build": ["dataset", "build", "d", "elements=Se,W", "method_class=dft", "--json"],
        "export": ["export", "mace", "--out", tmp_path / "mace.zip"],
        "verify": ["verify", "--json"],
        "launch": ["launch", FLOWS / "wse2_training_structures.py", "--set", "n_unit_cells=0"],
        "collect": ["collect", "--json"],
        "doctor": ["doctor", "--json"],
    }
    found = dict(zip(commands, run(*commands.values()), strict=True))
    failed = [(name, a.said, a.out) for name, a in found.items() if a.code or a.said]
    assert failed == []
    assert json.loads(found["compare"].out)["n"] == 1
    assert filled.datasets.one(name="d").counts["train"]
    assert (tmp_path / "mace.zip").is_file()
    [probe] = [f for f in json.loads(found["verify"].out)["findings"] if f["kind"] == "not checked"]
    assert probe["record"] == filled.resolve("mace", "methods")[1].id
    assert "pip install 'forcebase[mace]'" in probe["hint"]
    told = {finding["what"]: finding for finding in json.loads(found["doctor"].out)}
    for package in ("torch", "mace-torch"):
        assert not told[package]["ok"]
        assert "pip install 'forcebase[mace]'" in told[package]["advice"]


def test_what_needs_mace_names_the_command_that_installs_it(run, filled, quick_model, tmp_path):
    file = tmp_path / "some.model"
    file.write_bytes(quick_model.output["weights"].data)
    cell = filled.phonons.one().structure
    commands = [
        ["dataset", "build", "e", "elements=Se,W", "method_class=dft"],
        ["train", "e"],
        ["predict", "mace", "--dataset", "e"],
        ["phonon", "mace", cell, "--supercell", "2x2x1"],
        ["phonon", "mace", cell, "--supercell", "2x2x1", "--defect", "v_Se"],
        ["compare", "mace", "pbe", "--on", "e", "--reference", "pbe", "--fill"],
        ["model", "check", "mace"],
        ["model", "add", "mace", file],
        ["dataset", "export", "e", "--format", "mace-hdf5", "--out", tmp_path / "exported"],
        ["demo", "--out", tmp_path / "report"],
    ]
    before = filled.activities.count()
    built, *refused = run(*commands)
    assert built.code == 0
    for command, answer in zip(commands[1:], refused, strict=True):
        assert answer.code == MISSING_DEPENDENCY, (command, answer)
        assert answer.said.endswith(
            "This needs MACE: torch, e3nn, mace are not installed. | pip install 'forcebase[mace]'"
        ), command
    assert filled.activities.count() == before + 1, "no job was begun but the curation"
    assert not (tmp_path / "exported").exists()


def test_a_torch_that_cannot_be_loaded_is_told_too(tmp_path):
    for name in ("torch", "e3nn", "mace"):
        (tmp_path / f"{name}.py").write_text("raise OSError('libtorch_cpu.so: cannot open')")
    source = (
        "from forcebase.errors import MissingDependencyError\n"
        "from forcebase.models.mace_package import import_mace\n"
        "try:\n    import_mace()\nexcept MissingDependencyError as error:\n    print(error)"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout == (
        "MACE cannot be imported: libtorch_cpu.so: cannot open pip install 'forcebase[mace]'\n"
    ), done.stderr
