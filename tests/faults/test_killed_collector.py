"""A collector killed at any write, at any moment, or beside others: the same records, once each."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ase.io import read, write
from executioner import started_in, was_killed
from jobflow import Flow, job, run_locally
from waiting import PATIENCE

from forcebase.actions.flow_files import load_flow
from forcebase.blob import Blob
from forcebase.curation.pipeline import Curation
from forcebase.database import blobs
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames
from forcebase.database.reading import read_frames
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.makers.curation import CurateMaker
from forcebase.makers.prediction import PredictMaker

pytestmark = pytest.mark.faults

BLOBS = ("blobs.files", "blobs.chunks")
JOB_STORE = ("outputs", "data.files", "data.chunks")
IMPORTED = ("structures", "methods", "calculations", "activities", *BLOBS)
N_JOBS = 4
N_CELLS = 12


@job(data=[Blob])
def give(output: dict) -> dict:
    return output


@pytest.fixture(autouse=True)
def _short_patience_with_writers(monkeypatch, db):
    """Or each killed writer of a blob takes 10 s, and the server keeps its transaction for 60."""
    monkeypatch.setattr(blobs, "WRITER_SECONDS", 0.2)
    admin, limit = db.client.admin, "transactionLifetimeLimitSeconds"
    usual = admin.command({"getParameter": 1, limit: 1})[limit]
    admin.command({"setParameter": 1, limit: 1})
    yield
    admin.command({"setParameter": 1, limit: usual})


@pytest.fixture
def stored(db, quick_model, spreading, tmp_path, data_folder) -> Database:
    """A JobStore with structures, a model, predictions and a dataset of real jobs."""
    cells = [atoms for atoms in read(data_folder / "wse2_gpaw_pbe.extxyz", ":") if len(atoms) == 3]
    write(tmp_path / "cells.extxyz", cells[:N_CELLS])
    described = yaml.safe_load((data_folder / "method.yaml").read_text())
    keys = described["files"]["wse2_gpaw_pbe.extxyz"]["keys"]
    described["files"] = {"cells.extxyz": {"keys": keys}}
    (tmp_path / "method.yaml").write_text(yaml.safe_dump(described))
    assert import_paths(db, [tmp_path / "cells.extxyz"]).added["calculations"] == N_CELLS
    frames = publish_frames(db, read_frames(db, {}))
    model = give({**quick_model.output, "dataset": None, "dataset_job": None})
    predicting = PredictMaker(split=None).make(model.output, frames)
    curating = CurateMaker(recipe=Curation("drawn")).make(frames)
    drawing = load_flow(db, spreading, {"seed": "5", "alone": "true"})
    flow = Flow([model, predicting, curating, drawing])
    run_locally(
        flow,
        log=False,
        store=db.job_store,
        allow_external_references=True,
        ensure_success=True,
    )
    return db


@pytest.fixture
def undisturbed(stored, here, contents) -> dict[str, Any]:
    """What a collection of the same JobStore gives in another database."""
    for name in (*JOB_STORE, *IMPORTED):
        if rows := list(stored.raw[name].find()):
            here.raw[name].insert_many(rows)
    report = collect(here)
    assert (report.jobs, report.failed) == (N_JOBS, [])
    return contents(here)


def oddities(db: Database) -> list[Any]:
    """What a verification finds, but for parents that never were here."""
    found = verify(db, models=False).findings
    return [finding for finding in found if finding.kind is not FindingKind.PARENT_ELSEWHERE]


@pytest.fixture
def start_anew(stored, undisturbed) -> Callable[[], None]:
    """Bring the database back to where nothing is collected."""
    names = [*stored.record_collections, "dataset_members", "activities", *BLOBS]
    kept = {name: list(stored.raw[name].find()) for name in names}

    def restore() -> None:
        for name, rows in kept.items():
            stored.raw[name].delete_many({})
            if rows:
                stored.raw[name].insert_many(rows)

    return restore


def test_killed_at_every_write(stored, undisturbed, start_anew, contents):
    n = 0
    while True:
        n += 1
        start_anew()
        if not was_killed(stored.settings, collect, n):
            break
        report = verify(stored, models=False)
        assert report.is_sound, f"killed at write {n}: {report.findings}"
        assert not collect(stored).failed
        assert contents(stored) == undisturbed, f"killed at write {n}"
        assert not oddities(stored), f"killed at write {n}"
    assert n > 2 * N_JOBS


def test_killed_at_random_moments_one_after_another(stored, undisturbed, start_anew, contents):
    chance = random.Random(4)
    start_anew()
    killed = 0
    for _ in range(8):
        process = started_in(stored.settings, collect)
        time.sleep(chance.uniform(0.02, 0.3))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed
    assert not collect(stored).failed
    assert contents(stored) == undisturbed


def test_three_at_once(stored, undisturbed, start_anew, contents):
    for _ in range(3):
        start_anew()
        processes = [started_in(stored.settings, collect) for _ in range(3)]
        for process in processes:
            process.join(timeout=PATIENCE)
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert not collect(stored).failed
        assert contents(stored) == undisturbed
        assert not oddities(stored)
