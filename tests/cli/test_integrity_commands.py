"""taint, untaint, verify, backup, restore, and what is stale, as a user or a script sees it."""

import json
import os
import sys

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.cli.main import main
from forcebase.provenance.taint import remove_taint


@pytest.fixture(scope="module")
def filled(new_database, imported):
    """Real calculations and a dataset of them."""
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    build_dataset(db, "d", {})
    return db


@pytest.fixture
def run(filled, monkeypatch, capsys):
    """A command in this process: its exit code and what it printed."""
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FORCEBASE_HOME", str(filled.settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", filled.settings.database)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        done = capsys.readouterr()
        assert "Traceback" not in done.out + done.err
        return ended.value.code or 0, done.out, done.err

    return call


@pytest.fixture
def tainted(filled, run):
    """A training record that is tainted until the end of the test."""
    member = filled.members.one(split="train")
    code, out, _ = run("taint", member.calculation[:12], "--reason", "k-mesh too coarse")
    assert code == 0
    yield member.calculation, out
    for taint in list(filled.taints.iterate()):
        remove_taint(filled, taint.id)


def test_a_taint_says_at_once_what_it_makes_stale(filled, tainted):
    record, out = tainted
    assert f"calculations {record[:10]} is tainted: k-mesh too coarse" in out
    assert f"stale: datasets {filled.datasets.one().id[:10]} d@1" in out


def test_what_is_stale_shows_wherever_it_is_looked_at(filled, tainted, run):
    record, _ = tainted
    dataset = filled.datasets.one().id
    reason = f"from calculations {record[:10]}, tainted: k-mesh too coarse"
    [listed] = json.loads(run("ls", "datasets", "--json")[1])
    assert listed["stale"] == reason
    assert "stale" in run("ls", "datasets")[1]
    assert json.loads(run("show", "d@1", "--json")[1])["stale"] == reason
    assert reason in run("trace", "d@1", "--up")[1]
    code, _, err = run("dataset", "show", "d@1")
    assert code == 0
    assert "Stale:" in err
    code, out, err = run(
        "compare", filled.methods.one().id, filled.methods.one().id, "--on", "d@1", "--json"
    )
    assert code == 0
    assert f"Stale: validations {json.loads(out)['id'][:10]} {reason}" in err
    nodes = json.loads(run("trace", record, "--json")[1])["down"]["nodes"]
    assert {node["id"]: node.get("stale") for node in nodes}[dataset] == reason


def test_where_nothing_is_tainted_nothing_is_said(run):
    [listed] = json.loads(run("ls", "datasets", "--json")[1])
    assert listed["stale"] is None
    assert "stale" not in run("ls", "datasets")[1]
    assert "stale" not in json.loads(run("show", "d@1", "--json")[1])


def test_untaint(filled, tainted, run):
    record, _ = tainted
    run("taint", "d@1", "--reason", "wrong E0s")
    answer = json.loads(run("untaint", "d@1", "--json")[1])
    assert answer["reason"] == "wrong E0s"
    assert "k-mesh too coarse" in answer["still_stale"]
    assert "no longer tainted" in run("untaint", record)[1]
    code, out, err = run("untaint", record)
    assert (code, out) == (3, "")
    assert "There is no taint" in err


def test_a_taint_needs_a_reason_and_a_record(run):
    assert run("taint", "d@1", "--reason", " ")[0] == 2
    assert run("taint", "d@7", "--reason", "bad")[0] == 3
    assert run("taint", "d@1")[0] == 2


def test_verify_says_what_it_looked_at(filled, run):
    code, out, _ = run("verify")
    assert code == 0
    assert out.rstrip().endswith("Sound.")
    report = json.loads(run("verify", "--json", "--no-models")[1])
    assert report["sound"] is True
    assert report["checked"]["calculations"] == filled.calculations.count()


def test_verify_ends_with_1_and_names_what_is_wrong(filled, run):
    raw = filled.raw["calculations"]
    before = raw.find_one()
    raw.update_one({"_id": before["_id"]}, {"$set": {"energy": before["energy"] + 1.0}})
    code, out, _ = run("verify", "--json")
    shown = run("verify")
    raw.replace_one({"_id": before["_id"]}, before)
    assert code == shown[0] == 1
    [finding] = json.loads(out)["findings"]
    assert finding["kind"] == "content changed"
    assert finding["record"] == finding["expected"] == before["_id"]
    assert finding["found"] != before["_id"]
    assert "Damaged." in shown[1]


def test_backup_and_restore(filled, run, tmp_path, monkeypatch):
    path = tmp_path / "all.forcebase.zip"
    code, out, _ = run("backup", path)
    assert code == 0
    assert out.splitlines()[0] == str(path)
    assert run("restore", path)[0] == 2  # into the database itself, which is full
    other = f"{filled.settings.database}_b"
    monkeypatch.setenv("FORCEBASE_DATABASE", other)
    code, out, err = run("restore", path, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["verification"]["sound"] is True
    assert answer["documents"]["calculations"] == filled.calculations.count()
    written = json.loads(run("backup", tmp_path / "again.zip", "--json")[1])
    there = answer["documents"]  # and an entry of the journal: that it was restored
    assert written["documents"] == {**there, "journal": there["journal"] + 1}
    assert "restore" in run("log", "--limit", "1")[1]
    filled.client.drop_database(other)
