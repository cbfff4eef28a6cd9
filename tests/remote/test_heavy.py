"""Heavy things through the queue: by reference, both ways, in no document."""

from __future__ import annotations

import operator
import os
from pathlib import Path

import bson
import pytest
from jobflow import Flow, Job

from forcebase.actions.flow_files import load_flow
from forcebase.blob import Blob
from forcebase.errors import InputError
from forcebase.ingest.collect import collect
from forcebase.ingest.outputs import model_batch
from forcebase.makers.phonon import PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.records import Activity
from forcebase.remote.placement import Place
from forcebase.remote.queue import list_jobs
from forcebase.remote.submission import submit

FLOW = Path(__file__).with_name("heavy_flow.py")
N_BYTES = 30_000_000
N_ATOMS = 530
LARGEST = 400_000
"""bytes of a document that holds no heavy thing."""


def largest_document(collection) -> int:
    return max(len(bson.encode(document)) for document in collection.find())


@pytest.fixture
def phonon_output(db, quick_model, imported):
    """A phonon of the quick model, of the unit cell alone, as a job gives it."""
    from jobflow import run_locally

    imported(db, "wse2_gpaw_unitcell.extxyz")
    unit_cell = db.require_structure("wse2-unit-cell").to_pymatgen()
    maker = PhononMaker(relax_maker=RelaxMaker(fmax=0.05))
    flow = maker.make(quick_model.output, unit_cell, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    found = run_locally(flow, store=db.job_store, log=False, ensure_success=True)
    outputs = [response[1].output for response in found.values()]
    output = next(output for output in outputs if output["forcebase"] == "phonon")
    db.job_store.remove_docs({})
    return {key: value for key, value in output.items() if key != "force_constants"}


@pytest.mark.remote
def test_a_model_of_30_mb_and_force_constants_of_20_mb(db, remote, quick_model, phonon_output):
    # of another package than MACE, whose file goes to the jobs
    model = {**quick_model.output, "kind": "ASE", "dataset": None, "dataset_job": None}
    model["neutral"] = None
    weights = Blob(os.urandom(N_BYTES))
    heavy = {**model, "weights": weights, "weights_sha256": weights.sha256}
    batch = model_batch(db, heavy)
    batch.write(db, Activity(id="training:1", kind="job", name="train"))
    db.names.name("heavy", "methods", batch.methods[0].id)
    arguments = {"model": "heavy", "n_bytes": str(N_BYTES), "n_atoms": str(N_ATOMS)}
    flow = load_flow(db, FLOW, arguments | {"phonon": _as_text(phonon_output)})
    submit(db, flow, Place(modules=FLOW.parent))
    remote.run_queue()
    assert {job.state for job in list_jobs(db)} == {"COMPLETED"}

    measured = db.job_store.query_one({"name": "measure"})["output"]
    assert measured["published"] == [N_BYTES, weights.sha256]
    assert measured["model"][0] == N_BYTES
    assert measured["phonon"][0] > 20_000_000
    assert largest_document(db.raw["outputs"]) < LARGEST
    assert largest_document(db.raw["jf_jobs"]) < LARGEST

    report = collect(db)
    assert not report.failed
    assert report.added["methods"] == report.added["phonons"] == 1
    phonon = db.phonons.one()
    assert db.blobs.get(phonon.force_constants) is not None
    assert measured["phonon"][1] == phonon.force_constants
    assert len(db.blobs.get(measured["model"][1])) == N_BYTES


def _as_text(output: dict) -> str:
    from monty.json import MontyEncoder

    return MontyEncoder().encode(output)


@pytest.mark.remote
def test_an_output_too_large_for_a_document_fails_where_it_runs(db, remote):
    submit(db, Flow([Job(operator.mul, function_args=("x", 18_000_000), name="large")]))
    remote.run_queue()
    (job,) = list_jobs(db)
    assert job.state == "FAILED"  # at once: REMOTE_ERROR would be the runner's third try
    assert "The output of job 'large' has 18 MB" in job.reason
    assert "forcebase.blob.Blob" in job.reason


def test_inputs_too_large_for_a_document_are_refused_before_anything_is_written(db, remote):
    flow = Flow([Job("".join, function_args=(["x" * 17_000_000],), name="large")])
    with pytest.raises(InputError, match="The inputs of job 'large' have 17 MB"):
        submit(db, flow)
    assert db.raw["jf_flows"].count_documents({}) == 0
    assert db.raw["jf_jobs"].count_documents({}) == 0
