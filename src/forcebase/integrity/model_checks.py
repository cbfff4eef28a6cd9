"""Models: does each still give the answers that were stored with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from mongoengine.errors import MongoEngineException

from forcebase.database.database import Database
from forcebase.errors import ForcebaseError
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.records import ModelMethod


def check_model(db: Database, model_id: str) -> Iterator[Finding]:
    """Load a model and ask it its golden probe again; one without a probe is let pass."""
    from forcebase.models.golden_probe import check_probe
    from forcebase.models.mace_calculator import load_mace

    try:
        model = cast("ModelMethod", db.methods.get(model_id))
    except MongoEngineException as error:
        words = f"it cannot be read: {error}"
        yield Finding(
            FindingKind.MALFORMED, "methods", model_id, words, "Restore it from a backup."
        )
        return
    if not model.golden_probe:
        return
    try:
        weights = db.blobs.get(model.weights)
        loaded = load_mace(weights, model.weights, model.dtype, model.head)
        check_probe(model.golden_probe, loaded)
    except ForcebaseError as error:
        hint = error.hint or "Compare the installed packages with those in its record."
        yield Finding(FindingKind.PROBE_FAILED, "methods", model_id, error.message, hint)
