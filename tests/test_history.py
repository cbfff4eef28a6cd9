"""What happened is told, the newest first: finished, failed, running and cut off."""

import json
import os
import signal
import subprocess
import sys

import pytest

from forcebase.cli.main import main
from forcebase.database.acts import begin
from forcebase.ingest.failures import failure
from forcebase.ingest.importing import import_paths
from forcebase.provenance.history import history
from forcebase.provenance.taint import remove_taint, set_taint
from forcebase.records import Activity

BEGIN = """
import os, signal
from pathlib import Path
from forcebase.database.acts import begin
from forcebase.database.database import Database
from forcebase.records import Activity
from forcebase.settings import Settings
db = Database(Settings(home=Path({home!r}), database={database!r}))
begin(db, Activity(id="cut", kind="import", name="cut.extxyz"))
print("begun", flush=True)
signal.pause()
"""


def _started(settings):
    code = BEGIN.format(home=str(settings.home), database=settings.database)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def test_what_happened(db, settings, data_folder):
    import_paths(db, [data_folder / "wse2_gpaw_unitcell.extxyz"])
    db.activities.add([failure("relax", {"uuid": "u", "index": 1}, "no convergence")])
    process = _started(settings)
    running, failed, imported = history(db)
    assert (running.name, running.state) == ("cut.extxyz", "running")
    assert (failed.name, failed.state) == ("relax", "failed")
    assert (imported.kind, imported.state) == ("import", "finished")
    assert imported.written["calculations"] == db.calculations.count()
    assert imported.user
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [h.state for h in history(db, 1)] == ["unfinished"]
    assert imported.time <= failed.time <= running.time


def test_the_command_fits_eighty_columns(db, settings, data_folder, monkeypatch, capsys):
    import_paths(db, [data_folder / "wse2_gpaw_3x3_displacements.extxyz"])
    begin(db, Activity(id="cut", kind="import", name="a_name_that_is_longer_than_a_column.extxyz"))
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["forcebase", "log", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return capsys.readouterr().out

    text = run()
    assert max(map(len, text.splitlines())) <= 80
    assert "unfinished" in text
    assert "1 methods" in text
    found = json.loads(run("--json", "--limit", "1"))
    assert [h["id"] for h in found] == ["cut"]


def test_words_and_who_said_them(db, settings, data_folder, monkeypatch, capsys):
    """Taints, names and tags by users are lines; what an import tags is in its own."""
    import_paths(db, [data_folder / "wse2_gpaw_unitcell.extxyz"])
    record = db.calculations.one().id
    set_taint(db, "calculations", record, "too coarse")
    db.names.name("cell", "calculations", record)
    db.names.tag("some", "structures", *(s.id for s in db.structures.find()))
    remove_taint(db, record)
    found = {h.kind: h for h in history(db)}
    assert sorted(found) == ["import", "name", "tag", "taint", "untaint"]
    assert found["taint"].name == f"calculations {record[:10]}"
    assert found["taint"].reason == "too coarse"
    assert found["name"].name == f"cell of calculations {record[:10]}"
    assert all(h.user for h in found.values())
    assert len(history(db, 2)) == 2
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.setattr(sys, "argv", ["forcebase", "log"])
    with pytest.raises(SystemExit):
        main()
    assert "reason: too" in capsys.readouterr().out  # lines are as short as the terminal
