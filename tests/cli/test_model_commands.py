"""Commands for models from elsewhere, as a user runs them."""

import json
import os
import sys
from pathlib import Path

import pytest
from forked import run_command

from forcebase.cli.main import main
from forcebase.frames import Frames
from forcebase.ingest.batch import Batch
from forcebase.ingest.outputs import model_batch
from forcebase.models.evaluation import evaluate
from forcebase.records import Activity, Calculation

COMMAND = Path(sys.executable).parent / "forcebase"
ADRIFT = """
from ase.calculators.emt import EMT

class Adrift(EMT):
    def calculate(self, *args, **kwargs):
        super().calculate(*args, **kwargs)
        self.results["forces"] = self.results["forces"] + 0.01
"""


@pytest.fixture
def environment(settings, tmp_path):
    """That of a folder from which modules can be imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    place = {"FORCEBASE_HOME": str(settings.home), "FORCEBASE_DATABASE": settings.database}
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    return {**kept, **place, "PYTHONPATH": path}


@pytest.fixture
def forcebase(environment, tmp_path):
    """The command, in a process that has all imports done."""
    return lambda *arguments: run_command(arguments, environment, tmp_path)


def answer(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_calculator_is_added_named_and_checked(db, forcebase):
    add = ("model", "add", "ase", "ase.calculators.emt:EMT", "--elements", "Cu,Au", "--name", "emt")
    added = answer(forcebase(*add, "--json"))
    assert added["elements"] == ["Cu", "Au"]  # by atomic number
    assert added["dtype"] == "float64"
    assert db.methods.one().id == added["id"] == db.require_model("emt").id
    again = forcebase(*[word.replace("Cu,Au", "Au,Cu") for word in add])
    assert added["id"] in again.stdout
    assert db.methods.count() == 1
    report = answer(forcebase("model", "check", "emt", "--json"))
    assert len(report["findings"]) == 10
    assert all(finding["passed"] for finding in report["findings"])


def test_a_model_that_breaks_the_contract_is_added_and_fails_its_check(db, forcebase, tmp_path):
    (tmp_path / "adrift.py").write_text(ADRIFT)
    done = forcebase("model", "add", "ase", "adrift:Adrift", "--elements", "Cu", "--name", "bad")
    assert done.returncode == 0, done.stderr
    checked = forcebase("model", "check", "bad", "--json")
    assert checked.returncode == 6
    passed = {f["name"]: f["passed"] for f in json.loads(checked.stdout)["findings"]}
    assert not passed["forces are the energy's gradient"]
    assert passed["stress is the energy's derivative"]
    assert "FAILED" in forcebase("model", "check", "bad").stdout


MODELS = Path(__file__).parents[1] / "data" / "models"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pickle", "x"), "MACE, ASE, CHGNet, SevenNet"),
        (("mace", "nowhere.model"), "nowhere.model"),
        (("mace", MODELS / "two_heads.model"), "has 2 readout heads"),
        (("mace", MODELS / "checkpoint.pt"), "It is a checkpoint of epoch 3"),
        (("mace", MODELS / "lammps.pt"), "exported for LAMMPS"),
        (("ase", "ase.calculators.emt"), "Write it as ase.calculators.emt:EMT"),
        (("ase", "ase.calculators.emt:None"), "None"),
    ],
)
def test_what_cannot_be_added_is_said_in_a_line(db, forcebase, arguments, said):
    done = forcebase("model", "add", *arguments)
    assert done.returncode not in (0, 1)
    assert "Traceback" not in done.stderr + done.stdout
    assert said in done.stderr
    assert db.methods.count() == 0


@pytest.mark.training
def test_a_file_is_added_used_and_tuned(db, forcebase, quick_model, tmp_path, imported):
    (tmp_path / "quick.model").write_bytes(quick_model.output["weights"].data)
    imported(db, "wse2_gpaw_pbe.extxyz")
    added = answer(forcebase("model", "add", "mace", "quick.model", "--name", "parent", "--json"))
    assert added["elements"] == ["Se", "W"]
    done = forcebase("dataset", "build", "cells", "kind=pristine-1x1", "method_class=dft")
    assert done.returncode == 0, done.stderr
    tune = ("train", "cells", "--from", "parent", "--epochs", "1", "--name", "child")
    done = forcebase(*tune)
    assert done.returncode == 0, done.stderr
    child = db.require_model("child")
    assert child.parent == added["id"]
    assert added["id"][:10] in forcebase("trace", "child").stdout
    done = forcebase("predict", "child", "--dataset", "cells", "--split", "test")
    assert done.returncode == 0, done.stderr
    assert db.calculations.find(method=child.id)


@pytest.fixture
def run(settings, monkeypatch, capsys):
    """A command in this process: its exit code and what it printed."""
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


def test_a_model_is_given_back_and_known_again(db, run, quick_model, tmp_path):
    given = tmp_path / "quick.model"
    given.write_bytes(quick_model.output["weights"].data)
    code, out, errors = run("model", "add", "mace", given, "--name", "quick", "--json")
    assert code == 0, errors
    added = json.loads(out)
    assert added["neutral"] == quick_model.output["neutral"].sha256
    assert added["same_as"] == []
    again, neutral = tmp_path / "again.model", tmp_path / "quick.safetensors"
    assert run("model", "export", "quick", "--out", again)[0] == 0
    assert again.read_bytes() == given.read_bytes()
    code, out, _ = run(
        "model", "export", "quick", "--out", neutral, "--format", "neutral", "--json"
    )
    assert json.loads(out)["what"] == "its neutral form"
    code, out, _ = run("model", "add", "mace", neutral)
    assert code == 0
    assert f"same as   {added['id'][:10]}" in out
    code, out, _ = run("ls", "methods")
    assert "same as" in out
    code, out, _ = run("model", "convert", "quick", "--json")
    assert json.loads(out)["neutral"] == added["neutral"]
    code, _, errors = run("model", "export", "quick", "--out", again)
    assert code == 2
    assert "is there already" in errors


def test_an_old_archives_mace_is_opened_when_it_is_trusted(db, run):
    archive = Path(__file__).parents[1] / "data" / "versions" / "6" / "archive.zip"
    assert run("import", archive)[0] == 0
    code, out, errors = run("model", "trust", "quick", "--yes", "--json")
    assert code == 0, errors
    assert json.loads(out)["may_run"] is True
    assert db.require_model("quick").neutral is not None
    assert run("model", "check", "quick")[0] == 0


def test_a_model_that_does_not_reproduce_itself_is_told_wherever_it_is_looked_at(
    db, run, quick_model, imported
):
    """Its first labels came from a machine where its energies were off by a thousandth of an eV."""
    imported(db, "wse2_gpaw_unitcell.extxyz")
    made = model_batch(db, {**quick_model.output, "dataset": None, "dataset_job": None})
    made.write(db, Activity(id="training:1", kind="job", name="train"))
    [model], structure = made.methods, db.structures.one()
    given = Frames.from_atoms([structure.to_atoms()], ids=[structure.id])
    found = evaluate(given, quick_model.load()).frames
    first = Calculation.of(
        structure,
        model,
        energy=found.energies[0] + 3e-3,
        forces=found.forces,
        stress=found.stresses[0],
    )
    Batch(calculations=[first]).write(db, Activity(id="job:1", kind="job", name="predict"))
    db.names.tag("a-cell", "calculations", first.id)
    asked = ("predict", model.id, "--structure", "a-cell")  # of the calculation with the structure
    code, out, errors = run(*asked)
    assert code == 0
    assert "does not reproduce" not in errors
    code, out, errors = run(*asked, "--again", "--json")
    assert code == 0, errors
    assert json.loads(out) == {"model": model.id, "structures": 1, "new": 0}
    said = (
        f"model {model.id[:10]} does not reproduce itself: 1 of 1 predictions that were made again"
    )
    figures = "off by up to 1.0e-03 eV/atom"
    assert said in errors
    assert figures in errors
    assert db.calculations.one(method=model.id).energy == first.energy
    [newest, *_] = json.loads(run("log", "--json")[1])
    assert said in newest["findings"][0]
    for command in (("log",), ("verify",), ("model", "check", model.id)):
        code, out, _ = run(*command)
        assert code == 0, out
        assert "does not reproduce" in " ".join(out.split()), command
    report = json.loads(run("verify", "--json")[1])
    assert report["sound"]
    assert report["counts"] == {"not reproduced": 1}
    told = json.loads(run("model", "check", model.id, "--json")[1])["not_reproduced"]
    assert figures in told[0]
    assert said in run("trace", newest["id"], "--up")[1]
