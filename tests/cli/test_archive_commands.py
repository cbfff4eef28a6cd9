"""forcebase export and import of an archive, dataset export, as a user or a script sees them."""

import json
import os
import sys
import uuid

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.cli.main import main
from forcebase.database.connection import open_client
from forcebase.ingest.outputs import model_batch
from forcebase.records import Activity
from forcebase.settings import Settings


@pytest.fixture(scope="module")
def with_dataset(new_database, imported):
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    build_dataset(db, "d", {})
    return db


@pytest.fixture
def run(with_dataset, monkeypatch, capsys):
    """A command in this process: its exit code and what it printed."""
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORCEBASE_HOME", str(with_dataset.settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", with_dataset.settings.database)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def elsewhere(with_dataset, monkeypatch):
    """Lets the next commands use another database, empty."""
    settings = Settings(home=with_dataset.settings.home, database=f"test_{uuid.uuid4().hex[:12]}")
    yield lambda: monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    with open_client(settings) as client:
        client.drop_database(settings.database)


def test_a_dataset_goes_from_one_database_to_another(run, elsewhere, tmp_path):
    code, out, _ = run("export", "d@1", "--out", tmp_path / "d.zip", "--license", "CC0", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["documents"]["datasets"] == 1
    shown = run("dataset", "show", "d@1", "--json")
    elsewhere()
    code, out, _ = run("import", said["path"], "--json")
    assert code == 0
    [report] = json.loads(out)
    there = {name: n for name, n in said["documents"].items() if n}
    assert report["added"] == there
    assert run("dataset", "show", "d@1", "--json") == shown
    code, out, _ = run("import", said["path"])
    assert code == 0
    assert "new: nothing" in out


def test_a_damaged_archive_is_refused_in_a_line(run, elsewhere, tmp_path):
    run("export", "d@1", "--out", tmp_path / "d.zip")
    data = bytearray((tmp_path / "d.zip").read_bytes())
    data[1000] ^= 1
    (tmp_path / "d.zip").write_bytes(data)
    elsewhere()
    code, _, errors = run("import", tmp_path / "d.zip")
    assert code == 8
    assert "damaged" in errors
    assert "nothing was written" in errors
    assert run("ls", "calculations", "--json")[1] == "[]\n"


def test_records_or_all_of_them(run, tmp_path):
    assert run("export", "--out", tmp_path / "a.zip")[0] == 2
    assert run("export", "d", "--all", "--out", tmp_path / "a.zip")[0] == 2
    code, out, _ = run("export", "--all", "--out", tmp_path / "a.zip")
    assert code == 0
    assert "1 datasets" in out


def test_an_archive_among_other_files_is_not_read_as_one_of_them(run, tmp_path, data_folder):
    run("export", "d@1", "--out", tmp_path / "d.zip")
    code, _, errors = run("import", tmp_path / "d.zip", data_folder / "wse2_gpaw_unitcell.extxyz")
    assert code == 2
    assert "by itself" in errors


def test_an_archive_in_a_folder_is_named_and_left_alone(run, tmp_path):
    run("export", "d@1", "--out", tmp_path / "d.zip")
    code, out, _ = run("import", tmp_path, "--json")
    assert code == 2
    [[name, reason]] = json.loads(out)["failed"]
    assert name.endswith("d.zip")
    assert "it holds records" in reason


def test_dataset_export_takes_formats(run, tmp_path):
    code, out, _ = run("dataset", "export", "d@1", "--out", tmp_path, "--json")
    assert code == 0
    assert [path.rpartition(".")[2] for path in json.loads(out)] == ["extxyz"] * 3
    code, out, _ = run(
        "dataset", "export", "d", "--out", tmp_path, "--format", "mace-hdf5", "--json"
    )
    assert code == 0
    assert [path.rpartition(".")[2] for path in json.loads(out)] == ["h5"] * 3
    code, _, errors = run("dataset", "export", "d", "--format", "hdf4")
    assert code == 2
    assert "mace-hdf5" in errors


def test_who_imports_models_is_told_that_they_run_code(run, elsewhere, tmp_path):
    code, _, errors = run("model", "add", "ase", "ase.calculators.emt:EMT", "--elements", "Cu,Au")
    assert code == 0, errors
    run("export", "--all", "--out", tmp_path / "all.zip")
    elsewhere()
    code, _, errors = run("import", tmp_path / "all.zip")
    assert code == 0
    assert "1 new models came with it" in errors
    assert "models came" not in run("import", tmp_path / "all.zip")[2]


def test_a_model_of_an_archive_is_trusted_by_name(
    run, with_dataset, elsewhere, quick_model, tmp_path
):
    bare = {"dataset": None, "dataset_job": None, "neutral": None}  # as before schema version 7
    batch = model_batch(with_dataset, quick_model.output | bare)
    batch.write(with_dataset, Activity(id="model", kind="import", name="model"))
    with_dataset.names.name("theirs", "methods", batch.methods[0].id)
    run("export", "theirs", "--out", tmp_path / "m.zip")
    elsewhere()
    code, _, errors = run("import", tmp_path / "m.zip")
    assert code == 0
    assert "forcebase model trust" in errors
    code, _, errors = run("model", "check", "theirs")
    assert code == 6
    assert "m.zip" in errors
    code, out, _ = run("model", "trust")
    assert "theirs" in out
    code, out, errors = run("model", "trust", "theirs", "--json")
    assert code == 2
    assert "--yes" in errors
    code, out, _ = run("model", "trust", "theirs", "--yes")
    assert code == 0
    assert batch.methods[0].weights in out
    assert run("model", "check", "theirs")[0] == 0
    assert run("verify")[0] == 0
    assert json.loads(run("model", "trust", "--json")[1]) == []
