from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from jobflow import Flow, Job, job

from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.blob import Blob
from forcebase.errors import CalculationError, InputError, ModelError
from forcebase.outputs import StructuresOutput


@job(data=[Blob])
def make_structures(n: int) -> StructuresOutput:
    from pymatgen.io.ase import AseAtomsAdaptor

    from forcebase.digest import structure_digest

    structures = []
    for a in np.linspace(3.5, 3.7, n):
        atoms = bulk("Cu", a=a)
        digest = structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)
        structures.append(
            {
                "structure": AseAtomsAdaptor.get_structure(atoms).as_dict(),
                "family": digest,
                "kind": "bulk",
                "recipe": {"operation": "given", "parameters": {}, "seed": None, "parent": None},
            }
        )
    return {"forcebase": "structures", "structures": structures}


@job
def fail(output: dict, error: type[Exception] = ZeroDivisionError) -> dict:
    raise error("the cause of it")


@job
def leave_a_file(name: str) -> dict:
    Path(name).write_text("left")
    return {"name": name}


def test_a_flow_runs_and_its_outputs_are_records(db) -> None:
    here = Path.cwd()
    report = run_here(db, make_structures(3))
    assert report.added["structures"] == 3
    assert not report.failed
    assert len(db.structures.find()) == 3
    assert Path.cwd() == here
    again = run_here(db, make_structures(3))
    assert not again.added.get("structures")


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (
            ZeroDivisionError,
            CalculationError,
            r"^Job 'fail' of flow 'of two' failed: ZeroDivisionError: the cause",
        ),
        (ModelError, ModelError, r"^the cause of it$"),
    ],
)
def test_what_finished_before_a_failure_is_kept(db, error, expected, message) -> None:
    here = Path.cwd()
    first = make_structures(2)
    flow = Flow([first, fail(first.output, error)], name="of two")
    with pytest.raises(expected, match=message):
        run_here(db, flow)
    assert len(db.structures.find()) == 2
    assert Path.cwd() == here


def test_files_of_jobs_stay_where_a_folder_is_given(db, tmp_path) -> None:
    report = run_here(db, leave_a_file("kept"), tmp_path / "runs")
    assert report.unknown == ["leave_a_file"]
    assert [path.read_text() for path in tmp_path.glob("runs/job_*/kept")] == ["left"]


def flow_file(folder: Path, text: str) -> Path:
    path = folder / "my_flow.py"
    path.write_text(text)
    return path


GOOD = """
from __future__ import annotations

from dataclasses import dataclass

from jobflow import Flow, job


@dataclass
class Choice:
    name: str


@job
def add(a, b):
    return a + b


def build(db, n: int, words=("a",), name="sum") -> Flow:
    assert db is not None
    return Flow([add(n, word) for word in words], name=Choice(name).name)
"""


def test_arguments_come_from_text(db, tmp_path, monkeypatch) -> None:
    path = flow_file(tmp_path, GOOD)
    monkeypatch.syspath_prepend(tmp_path)  # a file that can be imported itself is not a clash
    flow = load_flow(db, path, {"n": "3", "words": '["x", "y"]', "name": "two words"})
    assert flow.name == "two words"
    assert [job.function_args for job in flow.jobs] == [(3, "x"), (3, "y")]
    assert load_flow(db, path, {"n": "1"}).name == "sum"


def test_a_single_job_is_a_flow_too(db, tmp_path) -> None:
    path = flow_file(tmp_path, GOOD + "\n\ndef build(**anything):\n    return add(1, 2)\n")
    assert isinstance(load_flow(db, path, {}), Job)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"my_flow.py needs n\. Give --set n=VALUE"),
        ({"n": "1", "m": "2"}, r"no argument 'm'\. It has: n, words, name"),
        ({"n": "1", "db": "mine"}, r"no argument 'db'"),
        ({"n": "1", "words": "5"}, r"build of my_flow.py failed, line \d+: TypeError: 'int'"),
    ],
)
def test_wrong_arguments_are_named(db, tmp_path, given, message) -> None:
    with pytest.raises(InputError, match=message):
        load_flow(db, flow_file(tmp_path, GOOD), given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flow = 1\n", r"no build\(...\)"),
        ("build = 1\n", r"no build\(...\)"),
        ("def build(:\n", r"my_flow.py cannot be read: SyntaxError: .*line 1"),
        ("\nimport no_such_package\n", r"line 2: ModuleNotFoundError: .*'no_such_package'"),
        ("1 / 0\n", r"my_flow.py cannot be read, line 1: ZeroDivisionError"),
        ("def build():\n    return 5\n", r"gives a int, not a Flow"),
    ],
)
def test_a_file_that_is_no_flow_is_an_error_that_says_why(db, tmp_path, text, message) -> None:
    with pytest.raises(InputError, match=message):
        load_flow(db, flow_file(tmp_path, text), {})


def test_an_error_of_ours_in_a_flow_file_stays_as_it_is(db, tmp_path) -> None:
    text = "from forcebase.errors import ModelError\ndef build():\n    raise ModelError('old')\n"
    with pytest.raises(ModelError, match=r"^old$"):
        load_flow(db, flow_file(tmp_path, text), {})


def test_files_that_are_not_there_or_not_python(db, tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere.py is not there\. Flow files are in flows/"):
        load_flow(db, tmp_path / "nowhere.py", {})
    with pytest.raises(InputError, match="is not there"):
        load_flow(db, tmp_path, {})
    (tmp_path / "json.py").write_text(GOOD)
    with pytest.raises(InputError, match="has the name of an installed module"):
        load_flow(db, tmp_path / "json.py", {"n": "1"})
    (tmp_path / "flow.txt").write_text(GOOD)
    with pytest.raises(InputError, match="is not a Python file"):
        load_flow(db, tmp_path / "flow.txt", {})
