"""Eighty thousand candidates: more than one document of MongoDB holds, and one transaction."""

from __future__ import annotations

import bson
import numpy as np
from jobflow import run_locally

from forcebase.curation.pipeline import Curation
from forcebase.curation.steps import OneMethod
from forcebase.database.publishing import publish_dataset, publish_frames
from forcebase.frames import Frames
from forcebase.ingest.collect import collect
from forcebase.integrity.forgetting import forget
from forcebase.makers.curation import CurateMaker
from forcebase.provenance.subject import Subject
from forcebase.records import DFTMethod

N = 80_000
LIMIT = 16 << 20


def candidates(method: str) -> Frames:
    """Cells of one atom and a hundred families, with energies of one atom."""
    names = np.array([f"{i:064x}" for i in range(1, N + 1)])
    ones = np.ones(N, dtype=np.int64)
    return Frames(
        ids=names,
        structures=names,
        families=np.array([f"{i % 100:064x}" for i in range(N)]),
        kinds=np.full(N, "bulk"),
        methods=np.full(N, method),
        n_atoms=ones,
        numbers=np.full(N, 14),
        cells=np.tile(np.eye(3) * 5, (N, 1, 1)),
        pbc=np.ones((N, 3), dtype=bool),
        positions=np.zeros((N, 3)),
        energies=np.full(N, -5.0),
        forces=np.zeros((N, 3)),
        stresses=np.full((N, 6), np.nan),
    )


def test_a_dataset_of_eighty_thousand_is_built_kept_published_and_forgotten(db):
    method = DFTMethod(
        code="gpaw",
        functional="PBE",
        basis={"type": "plane waves", "cutoff_eV": 350.0},
        pseudopotentials={"type": "PAW", "library": "gpaw-data"},
        smearing={"type": "Fermi-Dirac", "width_eV": 0.01},
        spin="none",
        dispersion="none",
        spin_orbit=False,
    ).sealed()
    db.methods.add([method])
    recipe = Curation("large", steps=(OneMethod(),))
    reference = publish_frames(db, candidates(method.id))
    job = CurateMaker(recipe=recipe).make(reference)
    how = {"log": False, "raise_immediately": True, "allow_external_references": True}
    run_locally(job, store=db.job_store, **how)
    report = collect(db)
    assert report.failed == []
    dataset = db.datasets.one(name="large")
    assert db.members.count(dataset=dataset.id) == N
    published = publish_dataset(db, dataset)
    for row in db.raw["outputs"].find():
        assert len(bson.encode(row)) < LIMIT / 16
    found = db.job_store.query_one({"uuid": published.uuid}, load=True)
    assert len(found["output"]["members"]) == N
    assert collect(db).added == {}
    forget(db, Subject("activities", dataset.provenance.activity))
    assert db.datasets.count() == db.members.raw.count_documents({}) == 0
