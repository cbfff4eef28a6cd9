"""The real command, as a user or a script runs it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas
import psutil
import pytest
from forked import run_command
from waiting import PATIENCE, wait_until

from forcebase.actions.datasets import build_dataset
from forcebase.cli.console import open_database
from forcebase.cli.main import app, main
from forcebase.comparison import compare
from forcebase.database.crystals import crystal_of
from forcebase.errors import DatabaseError
from forcebase.ingest.importing import import_paths
from forcebase.physics.local_dos import site_groups
from forcebase.physics.mesh_modes import solve
from forcebase.physics.shells import Shells
from forcebase.settings import Settings

COMMAND = Path(sys.executable).parent / "forcebase"
FILES = (
    "wse2_gpaw_pbe.extxyz",
    "wse2_gpaw_unitcell.extxyz",
    "wse2_gpaw_3x3_displacements.extxyz",
    "phonopy_wse2_gpaw_3x3.yaml",
)


@pytest.fixture(scope="module")
def filled(new_database, imported):
    """The real data, a dataset and a comparison, in a database for reading commands."""
    db = new_database()
    imported(db, *FILES)
    build_dataset(db, "d", {"elements": ["Se", "W"]})
    db.names.name("gpaw-pbe", "methods", db.methods.one().id)
    compare(db, "gpaw-pbe", "gpaw-pbe", "d@1:test")
    return db


def environment(settings, **changes):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    place = {"FORCEBASE_HOME": str(settings.home), "FORCEBASE_DATABASE": settings.database}
    return {**kept, "OMP_NUM_THREADS": "1", **place, **changes}


def forcebase(settings, *arguments, cwd=None, **changes):
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        env=environment(settings, **changes),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def forked(settings, *arguments, cwd=None, **changes):
    """The same from this process, which spares each test the imports of another."""
    return run_command(arguments, environment(settings, **changes), cwd)


@dataclass(frozen=True)
class Done:
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def within(filled, monkeypatch, capsys):
    """The same command line in this process, which spares each test the start of another."""
    for name, value in environment(filled.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FORCEBASE_MONGODB_URI", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def as_json(within):
    """What a reading command prints with --json."""

    def run(*arguments):
        done = within(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def refused(done, code):
    """The one line that says what is wrong, where that is all that is said."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert lines[0].startswith("Error:")
    assert len(lines) <= 2
    assert all(line.startswith("Next:") for line in lines[1:])
    return lines[0]


def commands(group=app, words=()):
    for command in group.registered_commands:
        yield (*words, command.name or command.callback.__name__)
    for child in group.registered_groups:
        yield from commands(child.typer_instance, (*words, child.name))


def test_help_of_every_command_has_an_example(within):
    names = list(commands())
    assert len(names) >= 17
    for words in names:
        done = within(*words, "--help")
        assert done.returncode == 0, words
        assert "Example" in done.stdout, words
        assert f"forcebase {' '.join(words)}" in done.stdout.split("Example")[1], words


def test_help_starts_no_server(settings_of_nothing):
    done = forcebase(settings_of_nothing, "--help")
    assert done.returncode == 0
    assert "demo" in done.stdout
    assert not settings_of_nothing.home.exists()


@pytest.fixture
def settings_of_nothing(tmp_path):
    """Settings of a home that nobody made."""
    return Settings(home=tmp_path / "nothing", database="nothing")


def test_lists_parse_and_hold_what_is_there(filled, as_json):
    for name, collection in filled.record_collections.items():
        found = as_json("ls", name, "--limit", 0)
        assert {record["id"] for record in found} == {r.id for r in collection.find()}


def test_filters(filled, as_json):
    method = filled.methods.one()
    short = method.id[:6]
    found = as_json("ls", "calculations", "kind=pristine-1x1", f"method={short}")
    assert len(found) == filled.calculations.count(kind="pristine-1x1")
    both = as_json("ls", "structures", "elements=W,Se", "n_atoms=3,12", "--limit", 0)
    assert {record["n_atoms"] for record in both} == {3, 12}
    one = filled.structures.find(limit=1)[0]
    assert as_json("ls", "structures", f"id={one.id[:12]}")[0]["id"] == one.id
    tagged = as_json("ls", "calculations", "--tag", "wse2-unit-cell")
    assert [t["names"] for t in tagged] == [["wse2-unit-cell"]]


def test_a_short_id_of_digits_alone_is_an_id(filled, as_json):
    """As 4821, which is a number to a filter on n_atoms and an id to one on structure."""
    by_digits = {s.id[:4]: s.id for s in filled.structures.find()}
    found = [(short, full) for short, full in by_digits.items() if short.isdigit()]
    assert found
    for short, full in found[:1]:
        calculations = as_json("ls", "calculations", f"structure={short}")
        assert {c["structure"] for c in calculations} == {full}


@pytest.mark.parametrize("text", ["d", "d@1", "gpaw-pbe", "wse2-unit-cell", "wse2-dft-phonon"])
def test_names_and_tags_stand_for_records(filled, as_json, text):
    found = as_json("show", text)
    collection, record = filled.resolve(text)
    assert (found["collection"], found["id"]) == (collection, record.id)


def test_short_ids_stand_for_records(filled, as_json):
    record = filled.phonons.one()
    found = as_json("show", record.id[:10])
    assert found["id"] == record.id
    assert found["masses"] == record.masses.tolist()


def test_a_stored_defect_phonon_is_looked_at(settings, db, data_folder, tmp_path, imported):
    """The DFT vacancy alone: local DOS, modes and pictures from the record, without a reference."""
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    import_paths(db, [data_folder.parent / "wse2_gpaw_vacancy"])
    out = tmp_path / "pictures"
    listed = forked(settings, "ls", "phonons", "defect.name=v_Se", "--json")
    assert [phonon["formula"] for phonon in json.loads(listed.stdout)] == ["Se7W4"]
    asked = ("defect", "wse2-dft-vacancy-phonon", "--edges", "3,4.5", "--out", out)
    done = forked(settings, *asked, "--json")
    assert done.returncode == 0, done.stderr
    (size,) = json.loads(done.stdout)["supercells"]
    assert (size["name"], size["size"], size["reference"]) == ("v_Se", "2x2", None)
    assert size["shells"] == {"≤ 3 Å": 3, "3–4.5 Å": 5, "> 4.5 Å": 3}
    assert "too small" in size["findings"][0]
    assert json.loads((out / "defect.json").read_text())["supercells"] == [size]
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) >= 4
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_local_states_by_the_kernel_polynomial_method(
    settings, db, data_folder, tmp_path, imported
):
    """Compared with the modes: how many there are in each shell, above some frequencies."""
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    import_paths(db, [data_folder.parent / "wse2_gpaw_vacancy"])
    out = tmp_path / "tables"
    asked = ("defect", "wse2-dft-vacancy-phonon", "--edges", "3,4.5", "--method", "kpm")
    done = forked(settings, *asked, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    (size,) = json.loads(done.stdout)["supercells"]
    assert (size["name"], size["size"], size["n_atoms"]) == ("v_Se", "2x2x1", 11)
    phonon = db.resolve("wse2-dft-vacancy-phonon")[1]
    crystal = crystal_of(db, phonon)
    (modes,) = solve(crystal, np.zeros((1, 3)))
    shares = (np.abs(modes.eigenvectors) ** 2).sum(axis=1)
    groups = site_groups(crystal.primitive_atoms, phonon.defect["centre"], Shells((3.0, 4.5)))
    gaps = np.diff(modes.frequencies) * (modes.frequencies[:-1] > 1)
    places = [modes.frequencies[i : i + 2].mean() for i in np.argsort(gaps)[-3:]]
    table = pandas.read_csv(next(out.glob("*.csv")))
    step = table["frequency_THz"].diff()[1]
    for shell in size["shells"]:
        weights = shares[groups.by_shell()[shell["shell"]]].sum(axis=0)
        assert shell["states"] + shell["imaginary"] == pytest.approx(weights.sum(), abs=0.01)
        assert shell["largest_error"] == 0.0  # so few sites are traced exactly
        for place in places:
            found = table[shell["shell"]][table["frequency_THz"] > place].sum() * step
            assert found == pytest.approx(weights[modes.frequencies > place].sum(), abs=0.05)
    tables = sorted(path.name for path in out.iterdir())
    assert tables == ["defect_kpm.json", f"local_dos_kpm_2x2x1_{phonon.id[:10]}.csv"]
    shown = forked(settings, *asked)
    assert "imaginary" in shown.stdout
    assert shown.returncode == 0


def test_trace(filled, as_json, within, tmp_path):
    found = as_json("trace", "d@1")
    assert found["up"]["root"] == found["down"]["root"] == filled.datasets.one().id
    assert "calculations" in {node["collection"] for node in found["up"]["nodes"]}
    assert "validations" in {node["collection"] for node in found["down"]["nodes"]}
    assert as_json("trace", "d@1", "--up") == {"up": found["up"]}
    assert as_json("trace", "d@1", "--down") == {"down": found["down"]}
    picture = tmp_path / "lineage.png"
    shown = within("trace", "d@1", "--picture", picture)
    assert "wse2_gpaw_pbe.extxyz" in shown.stdout
    assert "and 50 more calculations" in shown.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_datasets(filled, as_json, tmp_path):
    [row] = as_json("dataset", "ls")
    shown = as_json("dataset", "show", "d")
    assert row["dataset"] == shown["dataset"] == "d@1"
    assert len(shown["dropped_records"]) == shown["dropped"]
    found = as_json("dataset", "diff", "d@1", "d")
    assert found["added"] == found["removed"] == {}
    paths = as_json("dataset", "export", "d@1", "--out", tmp_path)
    assert all(Path(path).is_file() for path in paths)
    assert len(paths) == 3


def test_state_of_the_server_and_the_machine(filled, as_json):
    assert as_json("db", "status")["running"]
    findings = {f["what"]: f for f in as_json("doctor")}
    assert findings["MongoDB"]["ok"]
    assert findings["torch"]["ok"]


def test_status_of_a_server_that_does_not_run(settings_of_nothing):
    done = forcebase(settings_of_nothing, "db", "status", "--json")
    assert done.returncode == 1
    assert not json.loads(done.stdout)["running"]


def test_compare(filled, as_json, within):
    found = as_json("compare", "gpaw-pbe", "gpaw-pbe", "--on", "d@1:test")
    assert found["id"] == compare(filled, "gpaw-pbe", "gpaw-pbe", "d@1:test").validation.id
    shown = within("compare", "gpaw-pbe", "gpaw-pbe", "--on", "d@1:test")
    row = next(line for line in shown.stdout.splitlines() if line.strip().startswith("forces"))
    assert row.split()[1:3] == [str(found["metrics"]["overall"]["forces"]["n"]), "0"]
    assert f"{found['n']} new to the model" in shown.stdout


def test_compare_several(filled, as_json, within, tmp_path):
    picture = tmp_path / "matrix.png"
    command = ("compare", "gpaw-pbe", "gpaw-pbe", "--reference", "gpaw-pbe", "--on", "d@1:test")
    done = within(*command, "--picture", picture)
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size > 10_000
    (cell,) = as_json(*command)["cells"]
    assert (cell["n"], cell["missing"]) == (filled.datasets.one().counts["test"], [])
    refused(within("compare", "gpaw-pbe"), 2)
    refused(within(*command, "--align", "median"), 2)
    refused(within("compare", "gpaw-pbe", "gpaw-pbe", "--picture", picture), 2)


def test_compare_by_distance_from_the_defect(as_json, within):
    command = ("compare", "gpaw-pbe", "gpaw-pbe", "--on", "d@1", "--host", "wse2-unit-cell")
    shells = as_json(*command, "--edges", "2.8,6")["metrics"]["forces_by_shell"]
    shown = within(*command, "--edges", "2.8,6").stdout
    table = shown[shown.index("Errors of forces by distance") :].splitlines()
    for shell in shells:
        row = next(line for line in table if line.strip().startswith(shell["shell"]))
        cells, atoms, size, mae, *_ = row.strip().removeprefix(shell["shell"]).split()
        assert (int(cells), int(atoms)) == (shell["n_structures"], shell["n_atoms"])
        assert (size, mae) == (f"{shell['mean_force']:.1f}", "0.0")
    assert [shell["shell"] for shell in shells] == ["≤ 2.8 Å", "2.8–6 Å", "> 6 Å", "pristine"]
    pristine = within(*command[:4], "kind=pristine-1x1", *command[5:])
    assert "None of the cells has a defect" in pristine.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "abcdefabcdef"], 3, "abcdefabcdef"),
        (["show", "nobody"], 3, "nobody"),
        (["show", ""], 3, "''"),
        (["trace", "d@7"], 3, "d@7"),
        (["ls", "spectra"], 3, "spectra"),
        (["ls", "structures", "colour=red"], 2, "colour"),
        (["ls", "structures", "colour"], 2, "colour"),
        (["ls", "calculations", "method=nobody"], 3, "nobody"),
        (["dataset", "show", "e"], 3, "'e'"),
        (["dataset", "build", "a@b"], 2, "a@b"),
        (["dataset", "build", "e", "kind=none"], 3, "No calculation fits"),
        (["dataset", "export", "d", "--out", "/proc/none"], 2, "/proc/none"),
        (["predict", "gpaw-pbe", "--dataset", "d"], 2, "DFT method"),
        (["train", "nothing"], 3, "nothing"),
        (["phonon", "gpaw-pbe", "wse2-unit-cell"], 2, "DFT method"),
        (["phonon", "gpaw-pbe", "wse2-unit-cell", "--supercell", "3x3"], 2, "not a supercell"),
        (["defect"], 2, "Say which defects"),
        (["defect", "wse2-dft-phonon"], 2, "perfect crystal"),
        (["defect", "wse2-dft-phonon", "--edges", "6,3"], 2, "not edges"),
        (["defect", "wse2-dft-phonon", "--edges", "near"], 2, "near"),
        (["defect", "--model", "gpaw-pbe", "--name", "v_W"], 3, "no phonons of v_W"),
        (["compare", "gpaw-pbe", "wse2-dft-phonon"], 2, "gpaw-pbe"),
        (["compare", "gpaw-pbe", "gpaw-pbe", "--on", "d:tset"], 2, "tset"),
        (["compare", "gpaw-pbe", "gpaw-pbe", "--edges", "3,6"], 2, "where the defects are"),
        (["compare", "gpaw-pbe", "gpaw-pbe", "--edges", "near"], 2, "near"),
        (["compare", "gpaw-pbe", "gpaw-pbe", "--host", "gpaw-pbe"], 2, "not a structure"),
        (["launch", "nowhere.py"], 2, "nowhere.py"),
        (["import", "nowhere.extxyz"], 2, "nowhere.extxyz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_one_line_and_a_code(filled, within, arguments, code, words):
    before = {n: c.count() for n, c in filled.record_collections.items()}
    assert words in refused(within(*arguments), code)
    assert {n: c.count() for n, c in filled.record_collections.items()} == before


def test_a_database_that_goes_away_in_the_middle(monkeypatch, settings, db):
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DatabaseError, match="failed in the middle"), open_database() as opened:
        opened.raw["structures"].find_one({"$nonsense": 1})


@pytest.fixture
def impatient(monkeypatch):
    """Half a second until no MongoDB answers, in forked processes too."""
    monkeypatch.setattr("forcebase.database.connection.TIMEOUT_MS", 500)


@pytest.mark.parametrize("command", [["ls", "structures"], ["demo"]])
def test_a_database_that_is_not_there(filled, tmp_path, impatient, command):
    uri = "mongodb://user:secret@127.0.0.1:9/"
    done = forked(filled.settings, *command, FORCEBASE_MONGODB_URI=uri, cwd=tmp_path)
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_says_that_the_database_is_not_there(filled, impatient):
    uri = "mongodb://user:secret@127.0.0.1:9/"
    done = forked(filled.settings, "doctor", "--json", FORCEBASE_MONGODB_URI=uri)
    assert done.returncode == 1
    finding = next(f for f in json.loads(done.stdout) if f["what"] == "MongoDB")
    assert not finding["ok"]
    assert "secret" not in done.stdout


def test_threads_that_are_no_number(filled):
    done = forked(filled.settings, "ls", "structures", FORCEBASE_THREADS="abc")
    assert "'abc'" in refused(done, 2)


def test_import_of_a_bad_file_names_it(filled, tmp_path):
    bad = tmp_path / "bad.extxyz"
    bad.write_bytes(bytes(range(256)))
    done = forked(filled.settings, "import", bad)
    assert done.returncode == 2
    assert "bad.extxyz" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_import_says_what_is_new(settings, db, data_folder):
    path = data_folder / "wse2_gpaw_unitcell.extxyz"
    for n_new in (1, 0):
        done = forked(settings, "import", path, "--json")
        assert json.loads(done.stdout)["added"].get("calculations", 0) == n_new


@pytest.mark.parametrize(
    ("arguments", "code"), [(["show", "nobody"], 3), (["ls", "structures", "colour=red"], 2)]
)
def test_scripts_get_the_code_of_an_error(filled, arguments, code):
    refused(forked(filled.settings, *arguments), code)


def test_a_full_disk_is_one_line(filled):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "ls", "structures", "--json"],
            env=environment(filled.settings),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error(filled):
    arguments = "ls structures --limit 0 --json"
    done = subprocess.run(
        ["bash", "-c", f"'{COMMAND}' {arguments} | head -1"],
        env=environment(filled.settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "[\n"
    assert done.stderr == ""


@pytest.mark.training
def test_interrupted_training_leaves_nothing_behind(filled, tmp_path):
    before = {n: filled.raw[n].count_documents({}) for n in filled.record_collections}
    running = subprocess.Popen(
        [COMMAND, "train", "d@1", "--epochs", "100000"],
        env=environment(filled.settings, TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    children = _wait_for_mace(running, tmp_path)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130, (out, err)
    assert err.strip().splitlines()[-1].startswith("Interrupted.")
    assert "Traceback" not in out + err
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert alive == []
    assert {n: filled.raw[n].count_documents({}) for n in filled.record_collections} == before
    assert list(tmp_path.glob("forcebase-*")) == []


def _wait_for_mace(running, folder):
    """The children, once MACE has trained for an epoch."""
    results = "**/results/*_train.txt"
    wait_until(lambda: list(folder.glob(results)) or running.poll() is not None)
    assert running.poll() is None, running.communicate()
    return psutil.Process(running.pid).children(recursive=True)
