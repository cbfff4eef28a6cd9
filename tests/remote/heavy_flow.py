"""A flow of heavy things: what one job gives is another's input, and becomes a record."""

from __future__ import annotations

import numpy as np
from jobflow import Flow, job

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.database.publishing import publish_model
from forcebase.outputs import model_id


@job(data=[Blob])
def give_phonon(model: dict, output: dict, n_atoms: int) -> dict:
    """A phonon of that model, with force constants (n_atoms, n_atoms, 3, 3) of no meaning."""
    rng = np.random.default_rng(len(model["weights"].data))
    array = rng.random((n_atoms, n_atoms, 3, 3))
    named = {key: model[key] for key in ("weights_sha256", "dtype", "head")}
    named["model"] = model_id(model)
    return {**output, **named, "force_constants": Blob.from_arrays(force_constants=array)}


@job(data=[Blob])
def give_model(model: dict, n_bytes: int) -> dict:
    """A model of another package with a file of so many bytes, of no meaning either."""
    weights = Blob(np.random.default_rng(n_bytes).bytes(n_bytes))
    return {**model, "weights": weights, "weights_sha256": weights.sha256}


@job
def measure(model: dict, phonon: dict, published: dict) -> dict:
    """Sizes and digests of what came here."""
    return {
        name: [len(blob.data), blob.sha256]
        for name, blob in (
            ("model", model["weights"]),
            ("phonon", phonon["force_constants"]),
            ("published", published["weights"]),
        )
    }


def build(db: Database, model: str, phonon: dict, n_bytes: int, n_atoms: int) -> Flow:
    """Make the flow; `model` is a record's name, `phonon` an output to fill in."""
    published = publish_model(db, db.require_model(model))
    heavy = give_model(published, n_bytes)
    force_constants = give_phonon(heavy.output, phonon, n_atoms)
    last = measure(heavy.output, force_constants.output, published)
    return Flow([heavy, force_constants, last], name="heavy")
