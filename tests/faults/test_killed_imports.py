"""An import killed at any write is unfinished, not damage; the same again completes it."""

from __future__ import annotations

import json
import os

import pytest
from executioner import was_killed
from forked import run_command

from forcebase.archive import read_archive
from forcebase.database import blobs
from forcebase.database.database import Database
from forcebase.ingest.importing import import_paths
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.provenance.history import history

pytestmark = pytest.mark.faults
FILES = ("wse2_gpaw_unitcell.extxyz", "wse2_gpaw_3x3_displacements.extxyz")
HARMLESS = {FindingKind.UNFINISHED, FindingKind.LEFT_OVER, FindingKind.NOT_CHECKED}


@pytest.fixture(autouse=True)
def _short_patience_with_writers(monkeypatch):
    """Or each killed writer of a blob takes 10 s."""
    monkeypatch.setattr(blobs, "WRITER_SECONDS", 0.2)


def empty(db: Database) -> None:
    for name in db.raw.list_collection_names():
        if name != "meta":
            db.raw[name].delete_many({})


def kinds(db: Database) -> set[FindingKind]:
    return set(verify(db, models=False).counts)


def test_files(db, data_folder):
    paths = [data_folder / name for name in FILES]
    n = 1
    while was_killed(db.settings, lambda own: import_paths(own, paths), n):
        report = verify(db, models=False)
        assert set(report.counts) <= HARMLESS, f"killed at write {n}: {report.findings}"
        assert report.is_sound
        cut = [f for f in report.findings if f.kind is FindingKind.UNFINISHED]
        assert len(cut) <= 1
        assert all("import wse2_gpaw_" in f.message for f in cut)
        import_paths(db, paths)
        assert kinds(db) == set(), f"killed at write {n}"
        assert {h.state for h in history(db)} == {"finished"}
        empty(db)
        n += 1
    assert n > 6


def test_an_archive(db, data_folder):
    archive = data_folder.parents[1] / "tests" / "data" / "versions" / "7" / "archive.zip"
    n = 1
    unfinished = 0
    while was_killed(db.settings, lambda own: read_archive(own, archive), n):
        found = kinds(db)
        assert found <= HARMLESS, f"killed at write {n}"
        unfinished += FindingKind.UNFINISHED in found
        read_archive(db, archive)
        assert kinds(db) <= {FindingKind.NOT_CHECKED}, f"killed at write {n}"
        assert [h.state for h in history(db)] == ["finished"]
        empty(db)
        n += 1
    assert unfinished >= n - 2  # the last write finishes it


def test_the_command_says_so(db, data_folder):
    assert was_killed(db.settings, lambda own: import_paths(own, [data_folder / FILES[0]]), 3)
    environment = {**os.environ, "FORCEBASE_HOME": str(db.settings.home)}
    environment["FORCEBASE_DATABASE"] = db.settings.database
    done = run_command(["verify", "--no-models"], environment)
    assert done.returncode == 0, done.stdout
    assert f"import {FILES[0]}" in done.stdout
    assert "is unfinished" in done.stdout
    assert "Run the same `forcebase import` again" in done.stdout
    assert "Damaged" not in done.stdout
    assert done.stdout.strip().endswith("Sound, and 1 unfinished: repeat it.")
    told = json.loads(run_command(["log", "--json"], environment).stdout)
    assert [act["state"] for act in told] == ["unfinished"]
    assert run_command(["import", str(data_folder / FILES[0])], environment).returncode == 0
    again = run_command(["verify", "--no-models"], environment)
    assert again.stdout.strip().endswith("Sound.")
