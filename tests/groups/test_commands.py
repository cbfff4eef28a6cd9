"""Every command, run by a user who may only read it, and by one who adds to it."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ase.build import bulk
from pymongo import MongoClient

from forcebase.actions.datasets import build_dataset
from forcebase.cli.main import app, main
from forcebase.comparison import compare
from forcebase.database.connection import open_client, server_uri
from forcebase.database.database import Database
from forcebase.database.roles import Role
from forcebase.ingest.batch import Batch
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.outputs import READERS
from forcebase.provenance.taint import set_taint
from forcebase.records import Activity

FILES = ("wse2_gpaw_pbe.extxyz", "wse2_gpaw_unitcell.extxyz", "phonopy_wse2_gpaw_3x3.yaml")
READING = {
    "ls": ["calculations"],
    "fields": ["calculations"],
    "plot bands": ["wse2-dft-phonon", "--out", "{tmp}/b.png"],
    "plot dos": ["wse2-dft-phonon", "--out", "{tmp}/d.png"],
    "plot thermal": ["wse2-dft-phonon", "--out", "{tmp}/t.png"],
    "plot parity": ["{validation}", "--out", "{tmp}/p.png"],
    "plot errors": ["{validation}", "--out", "{tmp}/e.png"],
    "plot learning": ["quick", "--out", "{tmp}/l.png"],
    "show": ["d@1"],
    "trace": ["d@1"],
    "why": ["{calculation}", "d@1"],
    "verify": ["--no-models"],
    "log": [],
    "raw": ["wse2-unit-cell", "--out", "{tmp}/raw"],
    "export": ["d@1", "--out", "{tmp}/d.zip"],
    "backup": ["{tmp}/b.zip"],
    "compare": ["pbe", "pbe", "--on", "d@1:test"],
    "defect": ["wse2-dft-vacancy-phonon", "--edges", "3,4.5"],
    "dataset recipe": ["d@1"],
    "dataset ls": [],
    "dataset show": ["d@1"],
    "dataset diff": ["d@1", "d@2"],
    "dataset card": ["d@1"],
    "dataset export": ["d@1", "--out", "{tmp}"],
    "model check": ["quick", "--structure", "wse2-unit-cell"],
    "method diff": ["pbe", "pbe"],
    "model export": ["quick", "--out", "{tmp}/quick.model"],
    "jobs": [],
}
WRITING = {
    "import": ["{data}/wse2_gpaw_pbe.extxyz"],
    "structure add": ["{cell}"],
    "launch": ["{flow}"],
    "collect": [],
    "train": ["d@1", "--epochs", "1"],
    "predict": ["quick", "--dataset", "d@1", "--split", "test"],
    "phonon": ["quick", "wse2-unit-cell", "--supercell", "1x1x1"],
    "taint": ["{calculation}", "--reason", "bad"],
    "untaint": ["{tainted}"],
    "name": ["{calculation}", "one"],
    "tag": ["some", "{calculation}"],
    "forget": ["{calculation}"],
    "demo": ["--out", "{tmp}"],
    "dataset build": ["e", "n_atoms=3"],
    "method equate": ["pbe", "pbe", "--reason", "the same"],
    "model add": ["mace", "{model}", "--name", "again"],
    "model convert": ["quick"],
    "model trust": ["quick"],
    "jobs rerun": ["--failed"],
    "jobs unlock": [],
    "jobs cancel": ["1"],
    "restore": ["{backup}"],
    "remote init": [],
    "db users add": ["mallory", "--role", "admin"],
    "db users list": [],
    "db users remove": ["anna"],
}
APART = {"db start", "db stop", "db status", "db migrate", "model environment", "doctor", "status"}
"""They touch no record, or tell what they may not do, or who asks (doctor, status)."""


@dataclass(frozen=True)
class Done:
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def filled(filled_group, data_folder, quick_model, tmp_path_factory):
    """Records, two versions of a dataset, a taint, a comparison and a model; what names them."""
    folder = tmp_path_factory.mktemp("filled")
    db = Database(filled_group.settings)
    raw = ImportOptions(keep_raw=True)
    import_paths(db, [data_folder / name for name in FILES], options=raw)
    import_paths(db, [data_folder.parent / "wse2_gpaw_vacancy"])
    db.names.name("pbe", "methods", db.calculations.one(method_class="dft").method)
    build_dataset(db, "d", {"n_atoms": [3, 12]})
    build_dataset(db, "d", {"n_atoms": [3, 11, 12]})
    compare(db, "pbe", "pbe", "d@1:test")
    batch: Batch = READERS["model"](db, {**quick_model.output, "dataset_job": None})
    batch.write(db, Activity(id="quick", kind="import", name="quick"))
    db.names.name("quick", "methods", batch.methods[0].id)
    tainted = db.calculations.one(n_atoms=11)
    set_taint(db, "calculations", tainted.id, "too few k-points")
    (folder / "quick.model").write_bytes(quick_model.output["weights"].data)
    bulk("Si").write(folder / "si.cif")
    names = {
        "calculation": db.members.one(split="test").calculation,
        "tainted": tainted.id,
        "data": data_folder,
        "model": folder / "quick.model",
        "flow": Path(__file__).parents[1] / "faults" / "spreading_flow.py",
        "backup": folder / "b.zip",
        "validation": db.validations.one().id,
        "cell": folder / "si.cif",
    }
    yield filled_group, names
    db.close()


@pytest.fixture
def run(filled, tmp_path, monkeypatch, capsys):
    """Run a command as a user of this role, in this process."""
    group, names = filled
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JFREMOTE_PROJECTS_FOLDER", str(tmp_path / "projects"))
    monkeypatch.chdir(tmp_path)

    def run(role: Role | None, *arguments: str, settings=None) -> Done:
        settings = settings or (group.members[role] if role else group.settings)
        monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
        monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
        if settings.mongodb_uri:
            monkeypatch.setenv("FORCEBASE_MONGODB_URI", settings.mongodb_uri)
        else:
            monkeypatch.delenv("FORCEBASE_MONGODB_URI", raising=False)
        words = [word.format(tmp=tmp_path, **names) for word in arguments]
        monkeypatch.setattr(sys, "argv", ["forcebase", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code or 0, *capsys.readouterr())

    return run


def commands(group=app, words=()):
    for command in group.registered_commands:
        yield " ".join((*words, command.name or command.callback.__name__))
    for child in group.registered_groups:
        if child.typer_instance.registered_callback and child.name == "jobs":
            yield child.name
        yield from commands(child.typer_instance, (*words, child.name))


def contents(settings) -> dict:
    """MD5 of each collection, by the server."""
    with MongoClient(server_uri(settings)) as client:
        return client[settings.database].command("dbHash")["collections"]


def test_every_command_is_tried():
    """A new command is reading, writing, or neither: say which."""
    assert set(commands()) == {*READING, *WRITING, *APART}


@pytest.mark.parametrize("command", READING)
def test_a_reader_runs_what_only_reads(filled, run, command):
    before = contents(filled[0].settings)
    done = run(Role.READER, *command.split(), *READING[command])
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert contents(filled[0].settings) == before
    if command not in ("verify", "export", "backup", "model export", "raw"):  # times, or new files
        assert done.stdout == run(None, *command.split(), *READING[command]).stdout


@pytest.mark.parametrize("command", WRITING)
def test_a_reader_is_refused_what_writes(filled, run, command, tmp_path):
    if not filled[1]["backup"].exists():
        assert run(None, "backup", "{backup}").returncode == 0
    before = contents(filled[0].settings)
    done = run(Role.READER, *command.split(), *WRITING[command])
    assert (done.returncode, done.stdout) == (4, ""), done
    said = done.stderr.removeprefix("Starting: database and libraries ...").strip().splitlines()
    assert len(said) == 2, said
    assert said[0].startswith("Error: ")
    assert "'rita' (reader of database" in said[0]
    assert "may not" in said[0]
    assert said[1].startswith("Next:")
    assert contents(filled[0].settings) == before
    assert not (tmp_path / "projects").exists()


def test_a_reader_sees_in_doctor_what_it_is(run):
    done = run(Role.READER, "doctor", "--json")
    (found,) = [f for f in json.loads(done.stdout) if f["what"] == "user"]
    assert found["ok"]
    assert "'rita' (reader of database" in found["found"]


def test_a_reader_compares_what_is_not_stored(filled, run):
    """The numbers come, nothing is kept, and a taint on what was compared is told."""
    before = contents(filled[0].settings)
    asked = ("compare", "pbe", "pbe", "--on", "d@2")
    done = run(Role.READER, *asked, "--json")
    assert done.returncode == 0, done.stderr
    assert "Not stored: User 'rita' (reader of database" in done.stderr
    assert "too few k-points" in done.stderr
    assert contents(filled[0].settings) == before
    kept = run(Role.CURATOR, *asked, "--json")
    assert "too few k-points" in kept.stderr
    assert json.loads(kept.stdout)["id"] == json.loads(done.stdout)["id"]
    assert contents(filled[0].settings) != before


def test_a_reader_asks_no_model_to_fill(run):
    done = run(Role.READER, "compare", "quick", "--reference", "pbe", "--on", "d@1", "--fill")
    assert done.returncode == 4
    assert "may not write" in done.stderr


@pytest.mark.training
def test_a_curator_works(filled, run, tmp_path):
    """From files to a comparison, with every command that adds something."""
    steps = [
        ["import", "{data}/../wse2_gpaw_new"],
        ["dataset", "build", "tiny", "n_atoms=3"],
        ["train", "tiny@1", "--epochs", "2", "--name", "tiny-mace"],
        ["predict", "tiny-mace", "--dataset", "tiny@1", "--split", "test"],
        ["compare", "tiny-mace", "pbe", "--on", "tiny@1:test"],
        ["model", "add", "mace", "{model}", "--name", "quick-again"],
        ["launch", "{flow}", "--set", "alone=true"],
        ["collect"],
        ["taint", "{calculation}", "--reason", "for a while"],
        ["dataset", "build", "d", "n_atoms=3,12"],
        ["untaint", "{calculation}"],
        ["export", "tiny@1", "--out", "{tmp}/tiny.zip"],
        ["import", "{tmp}/tiny.zip"],
        ["verify"],
    ]
    for step in steps:
        done = run(Role.CURATOR, *step)
        assert done.returncode == 0, (step, done)
    queue = run(Role.CURATOR, "remote", "init")
    assert queue.returncode == 4
    assert "The queue of jobs is not made yet, and User 'carl' (curator" in queue.stderr
    assert run(Role.ADMIN, "remote", "init").returncode == 0
    for step in (
        ["remote", "init", "--name", "carls", "--force"],
        ["launch", "{flow}", "--set", "alone=true", "--remote"],
        ["jobs"],
        ["jobs", "unlock"],
        ["jobs", "rerun", "--failed"],
    ):
        done = run(Role.CURATOR, *step)
        assert done.returncode == 0, (step, done)


def test_a_curator_does_not_restore_and_an_admin_does(filled, run, settings):
    if not filled[1]["backup"].exists():
        assert run(None, "backup", "{backup}").returncode == 0
    done = run(Role.CURATOR, "restore", "{backup}")
    assert done.returncode == 4
    assert "(curator of database" in done.stderr
    added = run(None, "db", "users", "add", "boss", "--role", "admin", "--json", settings=settings)
    boss = replace(settings, mongodb_uri=json.loads(added.stdout)["uri"])
    with open_client(settings) as client:  # the command brought it into shape; it is empty still
        assert "structures" in client[settings.database].list_collection_names()
    done = run(None, "restore", "{backup}", settings=boss)
    assert done.returncode == 0, done.stderr
    assert run(None, "db", "users", "remove", "boss", settings=settings).returncode == 0


def test_users_are_added_listed_and_removed(run, settings, tmp_path, monkeypatch):
    """By the command, with a password that is made, one that is given, and an address in a file."""
    made = run(None, "db", "users", "add", "rob", "--role", "reader", "--json", settings=settings)
    rob = replace(settings, mongodb_uri=json.loads(made.stdout)["uri"])
    assert run(None, "ls", "methods", settings=rob).returncode == 0
    file = tmp_path / "cleo.env"
    done = run(
        None,
        "db",
        "users",
        "add",
        "cleo",
        "--role",
        "curator",
        "--out",
        str(file),
        settings=settings,
    )
    assert done.returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    uri, database = (line.partition("=")[2] for line in file.read_text().splitlines())
    assert database == settings.database
    cleo = replace(settings, mongodb_uri=uri.strip("'"))
    assert cleo.mongodb_uri.split(":")[2].split("@")[0] not in done.stdout + done.stderr
    assert run(None, "import", "{data}/wse2_gpaw_unitcell.extxyz", settings=cleo).returncode == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("p@ss/word: 12\n"))
    done = run(None, "db", "users", "add", "ada", "--role", "admin", "--ask", settings=settings)
    address = done.stdout.splitlines()[-1]
    assert "p%40ss%2Fword%3A%2012" in address
    ada = replace(settings, mongodb_uri=address)
    listed = run(None, "db", "users", "list", "--json", settings=ada)
    roles = {found["user"]: found["role"] for found in json.loads(listed.stdout)}
    assert roles == {"ada": "admin", "cleo": "curator", "rob": "reader"}
    assert run(None, "db", "users", "remove", "rob", settings=ada).returncode == 0
    done = run(None, "ls", "methods", settings=rob)
    assert done.returncode == 4
    assert "does not accept the user or password" in done.stderr
    for name in ("cleo", "ada"):
        assert run(None, "db", "users", "remove", name, settings=settings).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["rob", "--role", "owner"], "", "There is no role 'owner'"),
        (["r o b", "--role", "reader"], "", "cannot name a user"),
        (["rob", "--role", "reader", "--ask"], "short\n", "shorter than 8 characters"),
        (["rob", "--role", "reader", "--ask"], "", "shorter than 8 characters"),
        (["rob", "--role", "reader", "--out", "{model}"], "", "is there already"),
        (["rob", "--role", "reader", "--out", "no/such/folder"], "", "cannot be written"),
    ],
)
def test_what_makes_no_user(run, monkeypatch, arguments, stdin, words):
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    done = run(None, "db", "users", "add", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "rob" not in run(None, "db", "users", "list").stdout


def test_a_file_is_taken_back_when_no_user_was_made(run, tmp_path):
    file = tmp_path / "again.env"
    done = run(None, "db", "users", "add", "rita", "--role", "admin", "--out", str(file))
    assert done.returncode == 2
    assert "has a user 'rita' already" in done.stderr
    assert not file.exists()
