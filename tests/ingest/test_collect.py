"""JobStore outputs become records once, whatever happens to a collector or beside it."""

import json
import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from jobflow.core.schemas import JobStoreDocument
from monty.json import jsanitize
from waiting import PATIENCE

from forcebase.actions.datasets import dataset_recipe
from forcebase.blob import DATA_STORE, Blob
from forcebase.curation.pipeline import curate
from forcebase.database.database import Database
from forcebase.database.reading import read_frames
from forcebase.errors import InputError
from forcebase.ingest.collect import _activity_id, collect
from forcebase.ingest.job_documents import document_batch
from forcebase.ingest.outputs import READERS
from forcebase.outputs import PredictionsOutput
from forcebase.records import ModelMethod

START = datetime(2030, 1, 1)
VARYING = {"created_at": 0, "checksum": 0, "run": 0}


def put(db, output, name="job", metadata=None, minutes=0):
    """Leave an output in the JobStore, as a finished job does."""
    document = JobStoreDocument(
        uuid=str(uuid.uuid4()),
        index=1,
        output=jsanitize(output, strict=True, allow_bson=True),
        completed_at=(START + timedelta(minutes=minutes)).isoformat(),
        metadata=metadata or {},
        hosts=[],
        name=name,
    )
    db.job_store.update(document, save={DATA_STORE: [Blob]})
    return document


@pytest.fixture(scope="module")
def dft_jobs(data_folder):
    """Task documents of real DFT jobs."""
    paths = sorted((data_folder.parent / "wse2_gpaw_new").glob("*.json"))[:4]
    return [json.loads(path.read_text()) for path in paths]


def put_jobs(db, dft_jobs):
    for i, job in enumerate(dft_jobs):
        put(db, job["output"], f"static {i}", job["metadata"], i)


def records(db):
    """Everything that was collected, but for when, which the checksum covers too."""
    found = {}
    names = [*db.record_collections, "dataset_members", "activities"]
    for name in names:
        rows = list(db.raw[name].find({}, VARYING).sort("_id", 1))
        found[name] = {row["_id"]: row for row in rows}
        assert len(found[name]) == len(rows)
    return found


def test_twice_adds_nothing(db, dft_jobs):
    put_jobs(db, dft_jobs)
    first = collect(db)
    assert (first.jobs, first.failed, first.unknown) == (4, [], [])
    assert first.added == {"structures": 4, "methods": 1, "calculations": 4}
    before = records(db)
    second = collect(db)
    assert (second.jobs, second.added) == (0, {})
    assert records(db) == before
    activity = db.activities.get(db.calculations.one().provenance.activity)
    assert activity.job["store"] == f"{db.settings.database}.outputs"
    assert activity.kind == "job"


def test_an_unknown_output_is_named_each_time_and_the_others_go_on(db, dft_jobs):
    for output in ({"forcebase": "spectrum"}, {"energy": 1.0}, [1, 2], "text", 3.5):
        put(db, output, f"odd {type(output).__name__}")
    put_jobs(db, dft_jobs[:1])
    report = collect(db)
    assert report.jobs == 1
    assert len(report.unknown) == 5
    assert "odd str" in report.unknown
    assert len(collect(db).unknown) == 5
    assert db.activities.count() == 1


def test_an_output_that_cannot_be_used_is_reported_and_the_others_go_on(db, dft_jobs):
    good = dft_jobs[0]["output"]
    bad = {
        "NaN": {**good, "energy": float("nan")},
        "shape": {**good, "forces": [[0.0, 0.0, 0.0]]},
        "method field": {**good, "method": {**good["method"], "colour": "red"}},
        "half a method": {**good, "method": {"code": "gpaw"}},
        "structure": {**good, "structure": {"lattice": 3}},
        "no structures": {"forcebase": "structures"},
        "structures are text": {"forcebase": "structures", "structures": ["a"]},
        "members are text": {"forcebase": "curation", "members": "ab", "dropped": []},
        "no blob": {"forcebase": "model", "weights": {"blob_uuid": "0"}, "weights_sha256": "0"},
        "no model": {"forcebase": "predictions", "weights_sha256": "0", "dtype": "a", "head": None},
    }
    for name, output in bad.items():
        put(db, output, name)
    put_jobs(db, dft_jobs[:2])
    report = collect(db)
    assert report.jobs == 2
    assert sorted(name for name, _ in report.failed) == sorted(bad)
    assert all("\n" not in reason for _, reason in report.failed), report.failed
    assert db.calculations.count() == 2
    assert db.activities.count() == 2


def test_a_collector_that_died_before_its_activity_ends_with_the_same_records(db, dft_jobs):
    """Records are there, the activity is not: the next collector finds the job not done."""
    put_jobs(db, dft_jobs)
    collect(db)
    whole = records(db)
    for name in [*db.record_collections, "activities"]:
        db.raw[name].delete_many({})
    for job in db.job_store.docs_store.query():
        batch = document_batch(db, job)
        for collection, found in (
            (db.structures, batch.structures),
            (db.methods, batch.methods),
            (db.calculations, batch.calculations[:1]),
        ):
            for record in found:
                record.provenance.activity = _activity_id(job)
            collection.add(found)
    assert db.activities.count() == 0
    assert collect(db).jobs == 4
    again = records(db)
    for found in (whole, again):
        for method in found["methods"].values():  # of whichever job came first
            method["provenance"].pop("activity")
    assert again == whole


def test_two_threads_at_once(db, dft_jobs, settings):
    put_jobs(db, dft_jobs)
    _put_dataset(db, dft_jobs)
    others = [Database(settings) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(collect, others))
    for other in others:
        other.close()
    assert [report.failed for report in reports] == [[], [], []]
    _check_all_there(db, dft_jobs)
    added = [report.added.get("calculations", 0) for report in reports]
    assert sum(added) == len(dft_jobs)
    assert sum(report.added.get("datasets", 0) for report in reports) == 1


COLLECTOR = """
import sys
from pathlib import Path
from forcebase.database.database import Database
from forcebase.ingest.collect import collect
from forcebase.settings import Settings

db = Database(Settings(home=Path(sys.argv[1]), database=sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
report = collect(db)
sys.exit(len(report.failed))
"""


def test_two_processes_at_once(db, dft_jobs, settings):
    put_jobs(db, dft_jobs)
    _put_dataset(db, dft_jobs)
    command = [sys.executable, "-c", COLLECTOR, str(settings.home), settings.database]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes, env={**os.environ}) for _ in range(2)]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    codes = [process.wait(timeout=PATIENCE) for process in running]
    for process in running:
        process.stdin.close()
        process.stdout.close()
    assert codes == [0, 0]
    _check_all_there(db, dft_jobs)


def _put_dataset(db, dft_jobs):
    """A curation of what the DFT jobs will have become, as a flow leaves both."""
    put(db, _curation(dft_jobs), "curate", minutes=60)


def _curation(dft_jobs, name="d"):
    method, members = None, []
    for job, split in zip(dft_jobs, ("train", "train", "valid", "test"), strict=True):
        batch = document_batch(None, {"output": job["output"]})
        calculation, structure = batch.calculations[0], batch.structures[0]
        method = calculation.method
        members.append(
            {
                "calculation": calculation.id,
                "structure": structure.id,
                "family": structure.family,
                "split": split,
            }
        )
    return {
        "forcebase": "curation",
        "name": name,
        "version": 1,
        "parent": None,
        "query": {},
        "method": method,
        "members": members,
        "dropped": [{"calculation": "0" * 64, "step": "a", "reason": "b"}],
        "steps": [],
        "e0s": {"W": -1.0, "Se": -2.0},
        "e0s_source": "given",
        "wall_time": 0.0,
    }


def _check_all_there(db, dft_jobs):
    n = len(dft_jobs)
    assert (db.calculations.count(), db.structures.count(), db.methods.count()) == (n, n, 1)
    assert db.activities.count() == n + 1
    assert db.datasets.count() == 1
    assert db.members.count() == n + 1
    assert collect(db).added == {}


def test_a_dataset_half_written_by_a_dead_collector_is_whole_in_the_end(db, dft_jobs):
    """Members without a head, as a server without transactions may keep them."""
    put_jobs(db, dft_jobs)
    _put_dataset(db, dft_jobs)
    [(dataset, members)] = READERS["curation"](db, _curation(dft_jobs)).datasets
    db.members.add(members[:2])
    assert db.datasets.count() == 0
    collect(db)
    assert db.datasets.one().id == dataset.id
    assert db.members.count(dataset=dataset.id) == len(members)


def test_another_dataset_of_the_same_name_and_version_is_refused_and_named(db, dft_jobs):
    put_jobs(db, dft_jobs)
    _put_dataset(db, dft_jobs)
    other = _curation(dft_jobs)
    other["members"][0]["split"] = "valid"
    put(db, other, "curate again", minutes=70)
    report = collect(db)
    [(name, reason)] = report.failed
    assert name == "curate again"
    assert "d@1" in reason
    assert db.datasets.count() == 1
    assert db.members.count() == len(dft_jobs) + 1


def test_predictions_wait_for_their_model(db, imported):
    """A job whose model is not collected yet fails with a hint, and is taken up later."""
    imported(db, "wse2_gpaw_unitcell.extxyz")
    frames = read_frames(db, {})
    weights = b"some weights"
    model = ModelMethod(
        kind="MACE", weights=Blob(weights).sha256, dtype="float64", elements=["Se", "W"]
    ).sealed()
    output: PredictionsOutput = {
        "forcebase": "predictions",
        "weights_sha256": model.weights,
        "dtype": "float64",
        "head": None,
        "frames": frames.to_blob(),
        "wall_times": [0.1],
        "package_versions": {"forcebase": "0"},
        "wall_time": 0.1,
    }
    put(db, output, "predict")
    [(name, reason)] = collect(db).failed
    assert name == "predict"
    assert "Collect the training" in reason
    db.methods.add([model])
    assert collect(db).added == {"calculations": 1}
    predicted = db.calculations.one(method=model.id)
    reference = db.calculations.one(method_class="dft")
    assert predicted.forces.tolist() == reference.forces.tolist()
    assert predicted.energy == reference.energy


def test_weights_that_do_not_match_their_digest_are_refused(db):
    with pytest.raises(InputError, match="do not match"):
        READERS["model"](db, {"weights": Blob(b"other"), "weights_sha256": "0" * 64})


def test_curation_of_records_gives_members_that_trace_back(db, imported):
    """A recipe's drops keep their reasons."""
    imported(db, "wse2_gpaw_pbe.extxyz")
    query = db.calculations.selector(kind="pristine-1x1")
    frames = read_frames(db, query)
    output = curate(frames, dataset_recipe(db, "d", {}, frames))
    put(db, output, "curate")
    assert collect(db).added == {"datasets": 1}
    dataset = db.datasets.one()
    assert db.members.count(dataset=dataset.id) == len(frames)
    for member in db.members.find(split="dropped"):
        assert member.step
        assert member.reason
    assert db.members.count(split="dropped") == dataset.counts["dropped"] == len(output["dropped"])
