"""What a command imports, counted and not timed: those that read wait for no library in vain."""

import json
import os
import subprocess
import sys

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare

HEAVY = {
    "atomate2",
    "boto3",
    "jobflow",
    "jobflow_remote",
    "lark",
    "mace",
    "maggma",
    "matplotlib",
    "matscipy",
    "optimade",
    "pandas",
    "phonopy",
    "pymatgen",
    "scipy",
    "spglib",
    "torch",
}
"""Each takes a tenth of a second or more to import."""
BASE = {"ase", "mongoengine", "numpy", "pydantic", "pymongo", "rich", "typer"}
MODULES = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
"""
COMMAND = MODULES + "from forcebase.cli.start import main; main()"
READING = (
    "ls structures",
    "ls calculations elements=W,Se kind=pristine-1x1",
    "ls phonons --json",
    "ls structures nelements=2 chemical_formula_anonymous=A2B",
    "fields calculations",
    "show gpaw-pbe",
    "show wse2-dft-phonon",
    "trace d@1",
    "why CALCULATION d@1",
    "compare gpaw-pbe gpaw-pbe --on d@1:test",
    "compare wse2-dft-phonon wse2-dft-phonon",
    "dataset ls",
    "dataset show d@1",
    "dataset card d@1",
    "doctor",
    "jobs",
    "log",
    "log --json",
    "method diff gpaw-pbe gpaw-pbe",
)
"""Commands that find what is there; the comparisons were made before."""
COMPUTING = ("show wse2-dft-phonon",)
"""Those of them that diagonalise dynamical matrices."""


@pytest.fixture(scope="module")
def filled(new_database, imported):
    """Records of each kind that the commands read."""
    db = new_database()
    imported(db, "wse2_gpaw_unitcell.extxyz", "wse2_gpaw_pbe.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
    build_dataset(db, "d", {"elements": ["Se", "W"]})
    db.names.name("gpaw-pbe", "methods", db.methods.one().id)
    compare(db, "gpaw-pbe", "gpaw-pbe", "d@1:test")
    compare(db, "wse2-dft-phonon", "wse2-dft-phonon")
    return db


def imported_by(code, *arguments, **variables):
    """Packages and modules that a fresh process has at its end."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FORCEBASE_", "PYTHON"))}
    kept |= {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:2000]
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_imports_nothing_heavy(filled, command):
    calculation = filled.calculations.raw.find_one({"kind": "pristine-2x2"})["_id"]
    found = imported_by(
        COMMAND,
        *command.replace("CALCULATION", calculation).split(),
        FORCEBASE_HOME=str(filled.settings.home),
        FORCEBASE_DATABASE=filled.settings.database,
    )
    assert "forcebase.records" in found
    computed = {"matplotlib", "phonopy", "scipy", "spglib"} if command in COMPUTING else set()
    assert not found & HEAVY - computed


def test_the_package_imports_nothing_but_itself():
    found = imported_by(MODULES + "import forcebase")
    assert {name for name in found if name.startswith("forcebase")} == {"forcebase"}
    assert not found & {*BASE, *HEAVY}


def test_help_and_version_do_not_read_records():
    for argument in ("--help", "--version"):
        found = imported_by(COMMAND, argument)
        assert not found & {"ase", "mongoengine", "numpy", *HEAVY}


def test_a_text_of_the_filter_language_imports_its_parser(filled):
    found = imported_by(
        COMMAND,
        *("ls", "calculations", "max_force < 5"),
        FORCEBASE_HOME=str(filled.settings.home),
        FORCEBASE_DATABASE=filled.settings.database,
    )
    assert found & HEAVY == {"lark", "optimade"}


def test_what_needs_a_library_imports_it(filled):
    """The count sees them where they are."""
    found = imported_by(
        MODULES + "import forcebase as fb; db = fb.connect(); db.job_store; db.close()",
        FORCEBASE_HOME=str(filled.settings.home),
        FORCEBASE_DATABASE=filled.settings.database,
    )
    assert {"jobflow", "maggma"} <= found
