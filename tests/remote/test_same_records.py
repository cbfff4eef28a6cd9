"""A flow file gives the same records here and on a worker that has no way to the database."""

from __future__ import annotations

import importlib
import inspect
import json
import socket
from pathlib import Path

import pytest
from jobflow import Flow, Job, Maker
from same_records import check_same, exact_ids

from forcebase import makers
from forcebase.actions.flow_files import load_flow
from forcebase.actions.running_here import run_here
from forcebase.database.database import Database
from forcebase.ingest.collect import collect
from forcebase.ingest.outputs import model_batch
from forcebase.records import Activity
from forcebase.remote.queue import list_jobs
from forcebase.remote.submission import submit

FLOWS = Path(__file__).parents[2] / "flows"
CHEAP_DFT, QUICK_MAIN_JOB = (
    str(Path(__file__).with_name(name)) for name in ("cheap_dft_flow.py", "quick_main_job_flow.py")
)
MAKERS = {
    QUICK_MAIN_JOB: {
        "CurateMaker",
        "MACETrainMaker",
        "PredictMaker",
        "RelaxMaker",
        "ForceConstantsMaker",
    },
    "wse2_vacancy.py": {"RelaxMaker", "DefectMaker", "ForceConstantsMaker"},
    CHEAP_DFT: {
        "SampleStructuresMaker",
        "LabelStructuresMaker",
        "GPAWStaticMaker",
    },
}
"""Whose jobs each flow has."""
MAKERS_OF_FLOWS = {"PhononMaker"}
"""They have no job of their own."""


@pytest.fixture
def here(other_db) -> Database:
    """A second database: what is computed in this process."""
    return other_db


def run_both(here, db, cut_off, flow_file: str, arguments: dict[str, str]) -> None:
    flow = load_flow(here, FLOWS / flow_file, arguments)
    assert not run_here(here, flow).failed
    submit(db, load_flow(db, FLOWS / flow_file, arguments))
    cut_off.run_queue()
    report = collect(db)
    assert not report.failed
    assert not report.failures
    functions = [found["job"]["function"] for found in db.raw["jf_jobs"].find()]
    bound = [function.get("@bound") for function in functions]
    makers = {maker["@class"] for maker in bound if maker}
    assert makers == MAKERS[flow_file]


def test_these_flows_have_jobs_of_all_makers():
    """So that no maker is left that was never run without a database."""
    found = set()
    for path in (Path(makers.__file__).parent).glob("*.py"):
        module = importlib.import_module(f"forcebase.makers.{path.stem}")
        found |= {
            name
            for name, made in inspect.getmembers(module, inspect.isclass)
            if issubclass(made, Maker) and made.__module__ == module.__name__
        }
    assert found - set().union(*MAKERS.values()) == MAKERS_OF_FLOWS


@pytest.mark.remote
def test_a_worker_may_have_no_network_while_the_runner_reaches_the_database(db, cut_off):
    if "execution_cmd" not in cut_off.project.content["workers"]["cpu"]:
        pytest.skip("this machine does not let a test make a network namespace")
    host, port = db.client.address
    socket.create_connection((host, port), timeout=5).close()
    reach = f"__import__('socket').create_connection(({host!r}, {port}), timeout=5)"
    submit(db, Flow([Job(eval, function_args=(reach,), name="reach")]))
    cut_off.run_queue()
    (job,) = list_jobs(db)
    assert job.state == "FAILED"
    assert job.reason == "OSError: [Errno 101] Network is unreachable"


@pytest.mark.remote
@pytest.mark.training
def test_the_main_job(here, db, cut_off, imported):
    for database in (here, db):
        imported(database)
    run_both(here, db, cut_off, QUICK_MAIN_JOB, {"epochs": "1"})
    check_same(here, db)
    assert db.datasets.count() == 1
    assert db.phonons.count() == 2
    assert db.calculations.count(method_class="model") > 0
    sent = {job["worker"] for job in db.raw["jf_jobs"].find()}
    assert sent == {"cpu"}


@pytest.mark.remote
def test_the_vacancy_study_with_its_jobs_on_two_workers(here, db, cut_off, imported, quick_model):
    for database in (here, db):
        imported(database, "wse2_gpaw_unitcell.extxyz")
        batch = model_batch(database, {**quick_model.output, "dataset": None, "dataset_job": None})
        batch.write(database, Activity(id="training:1", kind="job", name="train"))
        database.names.name("quick", "methods", batch.methods[0].id)
    arguments = {"model": "quick", "sizes": "[2]", "fmax": "1e-4"}
    workers = json.dumps({"force constants": "gpu"})
    run_both(here, db, cut_off, "wse2_vacancy.py", {**arguments, "workers": workers})
    check_same(here, db)
    assert db.phonons.count() == 2
    jobs = {job["job"]["name"]: job["worker"] for job in db.raw["jf_jobs"].find()}
    assert {worker for name, worker in jobs.items() if "force constants" in name} == {"gpu"}
    assert {worker for name, worker in jobs.items() if "force constants" not in name} == {"cpu"}


@pytest.mark.remote
@pytest.mark.dft
def test_new_dft(here, db, cut_off):
    arguments = {"n_unit_cells": "1", "seed": "3", "workers": '{"GPAW": "gpu"}'}
    run_both(here, db, cut_off, CHEAP_DFT, arguments)
    assert exact_ids(db)["structures"] == exact_ids(here)["structures"]
    assert exact_ids(db)["methods"] == exact_ids(here)["methods"]
    one, other = here.calculations.one(), db.calculations.one()
    assert one.energy == pytest.approx(other.energy, abs=1e-6)
    workers = {job["job"]["name"]: job["worker"] for job in db.raw["jf_jobs"].find()}
    assert {worker for name, worker in workers.items() if name.startswith("GPAW")} == {"gpu"}
