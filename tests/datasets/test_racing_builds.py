"""Two who build versions of one dataset at the same time: each gets a version of its own."""

from __future__ import annotations

import multiprocessing

import pytest
from jobflow import run_locally

import forcebase.actions.datasets
from forcebase.actions.datasets import build_dataset
from forcebase.curation.pipeline import CurationRecipe
from forcebase.database.database import Database
from forcebase.database.publishing import publish_frames
from forcebase.database.reading import read_frames
from forcebase.datasets import families_of, latest
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.makers.curation import CurateMaker

FORK = multiprocessing.get_context("fork")
FILTERS = {"n_atoms": 3}


@pytest.fixture
def imported(db, data_folder):
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    return db


def build_in(settings, seed, barrier):
    """Build in a process of its own, which has seen the newest version when the other has too."""

    def run() -> None:
        seen = []

        def latest_together(db, name):
            found = latest(db, name)
            if not seen:
                seen.append(found)
                barrier.wait(timeout=120)
            return found

        forcebase.actions.datasets.latest = latest_together
        db = Database(settings)
        build_dataset(db, "d", FILTERS, seed=seed)
        db.close()

    process = FORK.Process(target=run)
    process.start()
    return process


def test_both_get_a_version(imported, settings):
    barrier = FORK.Barrier(2)
    processes = [build_in(settings, seed, barrier) for seed in (1, 2)]
    for process in processes:
        process.join(timeout=200)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = imported.datasets.find(name="d", sort="version")
    assert (first.version, second.version, second.parent) == (1, 2, first.id)
    assert families_of(imported, first).items() <= families_of(imported, second).items()
    acts = imported.activities.find(name="curate")
    assert {act.id for act in acts} == {d.provenance.activity for d in (first, second)}
    assert [act.run.state for act in acts] == ["finished", "finished"]
    assert all(act.run.written["datasets"]["n"] == 1 for act in acts)
    assert imported.activities.count(kind="failure") == 0


def test_an_output_that_came_too_late_is_told_once(imported):
    """It stays in the JobStore, and no later collection fails over it."""
    frames = publish_frames(imported, read_frames(imported, FILTERS))
    for seed in (1, 2):
        job = CurateMaker(recipe=CurationRecipe("d", seed=seed)).make(frames)
        run_locally(job, log=False, store=imported.job_store, allow_external_references=True)
    ((name, reason),) = collect(imported).failed
    assert "There is another dataset d@1" in reason
    assert collect(imported).failed == []
    assert imported.datasets.count() == 1
    assert imported.activities.count(kind="failure", name=name, mended=True) == 1
    assert build_dataset(imported, "d", FILTERS).version == 2
