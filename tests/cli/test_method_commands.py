"""method diff, method equate, ls methods and db migrate, as a user or a script sees them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from forcebase.cli.main import main
from forcebase.database.installation import FIRST_SEALED, META
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.ingest.importing import import_paths
from forcebase.records.method_differences import (
    NOT_RECORDED,
    describe_differences,
    differences,
    telling_apart,
)

CASES = Path(__file__).parents[1] / "data" / "cases"

OLDER = FIRST_SEALED - 1
"""A version whose number has no checksum: this test sets it by hand."""


@pytest.fixture
def run(db, monkeypatch, capsys):
    """A command in this process: its exit code and what it printed."""
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORCEBASE_HOME", str(db.settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", db.settings.database)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert "Traceback" not in done.out + done.err
        return ended.value.code or 0, done.out, done.err

    return call


@pytest.fixture
def two(db):
    """Methods of the plain run and of the one in a field."""
    import_paths(db, [CASES / "vasp_base", CASES / "vasp_dipole"])
    plain, field = sorted(db.methods.find(), key=lambda method: bool(method.corrections))
    return plain, field


def test_the_rules_in_which_two_methods_differ_are_shown(two, run):
    plain, field = two
    code, out, _ = run("method", "diff", plain.id[:10], field.id[:10])
    assert code == 0
    assert "corrections.efield" in out
    assert "basis" not in out
    code, out, _ = run("method", "diff", plain.id, plain.id)
    assert out == "They are one method.\n"
    code, out, _ = run("method", "diff", plain.id, field.id, "--json")
    told = json.loads(out)
    assert told["rules"]["corrections.efield"] == {"one": "none", "other": "0.5"}
    assert told["equated_by"] == []


def test_what_tells_equal_titles_apart_stands_in_the_list(two, run):
    _, out, _ = run("ls", "methods")
    assert "differs in" in out
    assert "corrections.efield" in out


def test_two_are_taken_for_one_with_a_reason_and_a_taint_takes_it_back(db, two, run):
    plain, field = two
    assert run("method", "equate", plain.id, field.id, "--reason", " ")[0] == 2
    code, out, _ = run("method", "equate", plain.id, field.id, "--reason", "0.1 meV", "--json")
    assert code == 0
    word = json.loads(out)
    assert db.equivalences.get(word["id"]).reason == "0.1 meV"
    _, out, _ = run("method", "diff", plain.id, field.id)
    assert "taken for one" in out
    assert run("taint", word["id"], "--reason", "they are not")[0] == 0
    _, out, _ = run("method", "diff", plain.id, field.id)
    assert "taken for one" not in out
    assert run("method", "equate", plain.id, plain.id, "--reason", "x")[0] == 2


def test_messages_are_no_walls(db, two):
    import_paths(db, [CASES])
    methods = list(db.methods.find())
    assert len(methods) == 11
    told = describe_differences(methods, {method.id: 1 for method in methods})
    assert len(told) < 900
    assert "more rules" in told
    assert max(map(len, told.split())) < 64


def test_what_an_old_record_did_not_keep_is_like_nothing(db, two, data_folder):
    old = type(two[0])(
        code="vasp",
        code_version="6",
        functional="PBE",
        basis={"type": "plane waves", "cutoff_eV": 400.0},
        pseudopotentials={"type": "PAW"},
        k_points={"spacing_per_A": 0.3},
        smearing={"type": "Gaussian", "width_eV": 0.05},
        spin="none",
        dispersion="none",
        spin_orbit=False,
    ).sealed()
    unlike = differences([old, two[0]])
    assert unlike["settings"][0] == NOT_RECORDED
    assert unlike["plus_u"] == [NOT_RECORDED, "none"]
    assert telling_apart([old, two[0]]) == {}, "their titles differ"


def test_migrating_by_command(db, run, tmp_path):
    code, out, _ = run("db", "migrate", "--backup", tmp_path)
    assert (code, out) == (
        0,
        f"The database has schema version {SCHEMA_VERSION}: there is nothing to do.\n",
    )
    db.raw[META].replace_one({"_id": "schema"}, {"version": OLDER})
    code, _, err = run("ls", "methods")
    assert code == 4
    assert f"schema version {OLDER}; this forcebase writes {SCHEMA_VERSION}" in err
    assert "forcebase db migrate" in err
    code, out, _ = run("db", "migrate", "--backup", tmp_path, "--json")
    told = json.loads(out)
    assert (told["before"], told["after"]) == (OLDER, SCHEMA_VERSION)
    assert Path(told["backup"]).is_file()
    assert run("ls", "methods")[0] == 0
