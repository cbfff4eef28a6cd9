"""A group's project of jobflow-remote: its queue and JobStore elsewhere, its jobs its own."""

from __future__ import annotations

import json
import operator
import os
import re
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ase.build import bulk
from forked import start_runner
from jobflow import Flow, Job
from pymongo.database import Database as MongoDatabase
from queue_delays import DELAYS
from ruamel.yaml import YAML
from same_records import check_same
from waiting import PATIENCE

from forcebase.actions.models import add_model
from forcebase.actions.phonons import compute_phonon
from forcebase.actions.predictions import predict
from forcebase.actions.running import run
from forcebase.database.connection import server_uri
from forcebase.errors import CalculationError, InputError
from forcebase.ingest.batch import Batch
from forcebase.integrity.verify import verify
from forcebase.makers.phonon import ForceConstantsMaker, PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.models.sources import Source
from forcebase.records import Activity, Structure
from forcebase.remote.carrying import _origin, collect_from
from forcebase.remote.placement import Place
from forcebase.remote.project import find_project, init_project
from forcebase.remote.submission import submit

MAKER = PhononMaker(
    relax_maker=RelaxMaker(fmax=1e-3),
    force_constants_maker=ForceConstantsMaker(method="displacements"),
)
ONE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
TWO = [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
THEIRS = Place(project="ours-of-old")


@dataclass(frozen=True)
class Group:
    """Their project, their database, and jobs in it: one that is done, one that waits."""

    path: Path
    raw: MongoDatabase
    environment: dict[str, str]

    def run_queue(self) -> None:
        log = self.path.with_suffix(".log")
        runner = start_runner("ours-of-old", self.environment, log, until_idle=True)
        assert runner.wait(4 * PATIENCE) == 0, log.read_text()[-3000:]

    def own_jobs(self) -> dict[str, list[dict]]:
        """All documents of theirs, heavy ones too, that are none of our flows'."""
        of_others = {"job.metadata.forcebase_database": {"$exists": False}}
        apart = {"metadata.forcebase_database": {"$exists": False}}
        fresh = {**apart, "metadata.published": {"$exists": False}}
        return {
            "jobs": list(self.raw["queue"].find(of_others).sort("_id", 1)),
            "flows": list(self.raw["flows"].find(apart).sort("_id", 1)),
            "outputs": list(self.raw["results"].find(fresh).sort("_id", 1)),
        }


@pytest.fixture
def group(db, settings, projects, jf, monkeypatch):
    name = f"group_{uuid.uuid4().hex[:10]}"
    store = {"type": "MongoStore", "uri": server_uri(settings), "database": name}
    content = {
        "name": "ours-of-old",
        "workers": {
            "node": {
                "type": "local",
                "scheduler_type": "shell",
                "work_dir": str(projects / "work"),
                "execution_cmd": f"{jf} -fe execution run {{}}",
                "pre_run": f'export PATH="{Path(sys.executable).parent}:$PATH" OMP_NUM_THREADS=1',
                "max_jobs": 1,
            }
        },
        "runner": dict.fromkeys((*DELAYS, "delay_refresh_limited"), 1),
        "queue": {
            "store": {**store, "collection_name": "queue"},
            "flows_collection": "flows",
        },
        "jobstore": {
            "docs_store": {**store, "collection_name": "results"},
            "additional_stores": {
                "data": {**store, "type": "GridFSStore", "collection_name": "heavy"}
            },
        },
    }
    projects.mkdir(exist_ok=True)
    path = projects / "ours-of-old.yaml"
    with path.open("w") as file:
        YAML().dump(content, file)
    environment = {
        **os.environ,
        "FORCEBASE_HOME": str(settings.home),
        "FORCEBASE_DATABASE": settings.database,
        "OMP_NUM_THREADS": "1",
    }
    made = Group(path, db.client[name], environment)
    controller = find_project(settings, "ours-of-old").controller()
    controller.reset(max_limit=1)
    done = Job(operator.add, function_args=(2, 3), name="theirs")
    controller.add_flow(Flow([done]), worker="node")
    made.run_queue()
    wrong = Job(operator.truediv, function_args=(1, 0), name="their mistake")
    controller.add_flow(Flow([wrong]), worker="node")
    made.run_queue()
    controller.close()
    assert [job["state"] for job in made.own_jobs()["jobs"]] == ["COMPLETED", "FAILED"]
    yield made
    db.client.drop_database(name)


def emt(db):
    model = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=["Cu", "Au"]))
    cell = Structure.from_atoms(bulk("Cu", a=3.65), kind="bulk")
    Batch(structures=[cell]).write(db, Activity(id="cell", kind="import", name="cell"))
    return model, db.structures.get(cell.id)


@pytest.mark.remote
def test_our_flows_run_there_and_their_jobs_stay_as_they_are(other_db, db, group):
    before = group.own_jobs()
    one = compute_phonon(other_db, *emt(other_db), ONE, MAKER)
    model, cell = emt(db)
    handle = compute_phonon(db, model, cell, ONE, MAKER, where=THEIRS)
    assert handle.submission is not None
    assert not handle.submission.own
    assert {job.worker for job in handle.jobs()} == {"node"}
    assert "jf_jobs" not in db.raw.list_collection_names()
    group.run_queue()
    other = handle.result(timeout=1)
    assert other.protocol == one.protocol
    check_same(other_db, db)
    assert group.own_jobs() == before
    assert db.activities.count(kind="failure") == 0, "their mistake is not ours"
    assert {row["name"] for row in db.raw["outputs"].find({"metadata.published": None})}.isdisjoint(
        {"theirs", "their mistake"}
    )
    assert verify(db).findings == []
    again = collect_from(db, find_project(db.settings, "ours-of-old"))
    assert (again.jobs, again.added) == (0, {})
    relaxed = compute_phonon(db, model, cell, TWO, MAKER)
    assert relaxed.structure == other.structure, "the relaxation that ran there is found here"


@pytest.mark.remote
def test_what_ran_here_goes_there_as_an_input(db, group):
    model, cell = emt(db)
    first = compute_phonon(db, model, cell, ONE, MAKER)
    handle = compute_phonon(db, model, cell, TWO, MAKER, where=THEIRS)
    assert len(handle.numbers) == 1, "the relaxation is there"
    group.run_queue()
    assert handle.result(timeout=1).structure == first.structure


@pytest.mark.remote
def test_a_failure_there_is_a_record_here(db, group):
    flow = Flow([Job(operator.truediv, function_args=(3, 0), name="ours")])
    handle = run(db, flow, lambda report: report, where=THEIRS)
    group.run_queue()
    with pytest.raises(CalculationError, match="ZeroDivisionError") as caught:
        handle.result(timeout=1)
    assert "jf -p ours-of-old job rerun" in str(caught.value)
    assert [found.name for found in db.activities.find(kind="failure")] == ["ours"]


@pytest.mark.remote
def test_the_commands(db, remote, group):
    model, cell = emt(db)
    asked = ("predict", model.id, "--structure", cell.id, "--remote")
    told = remote.forcebase(*asked, "--project", "ours-of-old", "--worker", "node").stdout
    assert "in the queue of project ours-of-old, for node" in told
    assert "jf -p ours-of-old runner start; forcebase collect --project ours-of-old" in told
    group.run_queue()
    assert "0 jobs collected" in remote.forcebase("collect").stdout
    assert "new: 1 calculations" in remote.forcebase("collect", "--project", "ours-of-old").stdout
    watch = remote.forcebase("collect", "--project", "ours-of-old", "--watch", check=False)
    assert (watch.returncode, "Repeat: forcebase collect --project" in watch.stderr) == (2, True)
    assert predict(db, model, [cell.id]) == 0


def test_another_project_is_taken_by_its_name_alone(db, settings, group, monkeypatch):
    own = init_project(settings, name="records")[0]
    monkeypatch.setenv("JFREMOTE_PROJECT", "ours-of-old")
    assert find_project(settings).name == own.name
    assert not find_project(settings, "ours-of-old").own


def test_a_project_of_another_database_of_forcebase_is_refused(db, settings, group):
    init_project(replace(settings, database=f"{settings.database}_2"), name="second")
    with pytest.raises(InputError, match=r"'second' is that of another database of forcebase"):
        submit(db, Flow([Job(abs, function_args=(1,))]), Place(project="second"))
    db.client.drop_database(f"{settings.database}_2")


def test_a_job_store_without_room_for_what_is_large_is_refused(db, group):
    text = group.path.read_text()
    group.path.write_text(re.sub(r"\n    data:\n", "\n    elsewhere:\n", text))
    with pytest.raises(InputError, match="no additional store 'data'"):
        submit(db, Flow([Job(abs, function_args=(1,))]), THEIRS)
    assert group.raw["flows"].count_documents({"metadata.forcebase_database": {"$ne": None}}) == 0


def test_an_output_there_that_is_lost_in_part_keeps_none_of_the_others(db, data_folder, group):
    """Nor does one that names a store which is not there, or a part that is no part."""
    path = sorted((data_folder.parent / "wse2_gpaw_new").glob("*.json"))[0]
    good = json.loads(path.read_text())["output"]
    outputs = {
        "a": {"part": {"blob_uuid": "gone", "store": "data"}},
        "b": {"part": {"blob_uuid": "gone", "store": "nowhere"}},
        "c": {"part": {"blob_uuid": "gone"}},
        "d": good,
    }
    project = find_project(db.settings, "ours-of-old")
    mark = {"forcebase_database": _origin(db)}
    group.raw["flows"].insert_one({"uuid": "flow", "jobs": list(outputs), "metadata": mark})
    for name, output in outputs.items():
        named = {"uuid": name, "index": 1}
        group.raw["queue"].insert_one({**named, "db_id": name, "state": "COMPLETED"})
        beside = {"name": name, "metadata": mark, "completed_at": "2030-01-01T00:00:00"}
        group.raw["results"].insert_one({**named, "output": output, **beside})
    report = collect_from(db, project)
    assert [name for name, _ in report.failed] == ["job a", "job b", "job c"]
    assert report.added == {"structures": 1, "methods": 1, "calculations": 1}
    assert collect_from(db, project).added == {}
