"""What the Tab key offers, asked as a shell asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from forcebase.actions.datasets import build_dataset

FORCEBASE = Path(sys.executable).with_name("forcebase")


@pytest.fixture(scope="module")
def filled(new_database, imported):
    db = new_database()
    imported(db, "wse2_gpaw_unitcell.extxyz", "wse2_gpaw_pbe.extxyz")
    build_dataset(db, "wse2", {"kind": "pristine-1x1"})
    db.names.name("gpaw-pbe", "methods", db.methods.one().id)
    return db


@pytest.fixture
def offered(filled):
    """A function that gives the words that are offered behind what is typed."""

    def ask(typed: str, **settings: str) -> list[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
        asking = {
            "_FORCEBASE_COMPLETE": "complete_bash",
            "COMP_WORDS": f"forcebase {typed}",
            "COMP_CWORD": str(len(typed.split()) + (typed[-1:] == " ")),
            "FORCEBASE_HOME": str(filled.settings.home),
            "FORCEBASE_DATABASE": filled.settings.database,
        }
        done = subprocess.run(
            [FORCEBASE],
            env={**kept, **asking, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("ls st", {"structures"}),
        ("ls calculations max", {"max_force"}),
        ("ls structures --sort n_at", {"n_atoms"}),
        ("show gpaw", {"gpaw-pbe"}),
        ("train ws", {"wse2@1"}),
        ("method diff g", {"gpaw-pbe"}),
        ("trace wse2-unit", {"wse2-unit-cell"}),
        ("predict wse2", set()),
    ],
)
def test_names_and_fields_are_offered(offered, typed, words):
    assert set(offered(typed)) == words


def test_fields_behind_a_comma(offered):
    assert "id,energy" in offered("ls calculations --columns id,ener")


def test_no_server_is_started_for_it(offered, tmp_path):
    assert offered("show gpaw", FORCEBASE_HOME=str(tmp_path / "none")) == []
    assert not (tmp_path / "none").exists()


def test_a_server_that_does_not_answer_offers_nothing(offered):
    nowhere = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"
    assert offered("show gpaw", FORCEBASE_MONGODB_URI=nowhere) == []
