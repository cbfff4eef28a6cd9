"""Filling: what references have labelled and models have not, so that all can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from forcebase.actions.predictions import find_missing, prediction_flow
from forcebase.actions.running import Where, found_record, run
from forcebase.actions.running_there import Handle
from forcebase.comparison import Selection
from forcebase.comparison.matrix import labelled_structures
from forcebase.database.database import Database
from forcebase.ingest.collect import CollectReport
from forcebase.models.loading import require_package
from forcebase.progress import Progress
from forcebase.records import Method, ModelMethod


@overload
def fill_labels(
    db: Database,
    models: Sequence[ModelMethod],
    references: Sequence[Method],
    on: Selection,
    *,
    where: None = ...,
    progress: Progress | None = ...,
) -> dict[str, int]: ...
@overload
def fill_labels(
    db: Database,
    models: Sequence[ModelMethod],
    references: Sequence[Method],
    on: Selection,
    *,
    where: Where,
) -> Handle[dict[str, int]]: ...
def fill_labels(
    db: Database,
    models: Sequence[ModelMethod],
    references: Sequence[Method],
    on: Selection,
    *,
    where: Where | None = None,
    progress: Progress | None = None,
) -> dict[str, int] | Handle[dict[str, int]]:
    """Have models label what a reference has labelled and they have not: one flow for all.

    Args:
        db: the database.
        models: that are to label.
        references: methods whose structures are taken.
        on: which of their structures.
        where: elsewhere: a worker's name, or a place.
        progress: told of each batch.

    Returns:
        Id of each model -> how many structures it labelled; elsewhere a handle, whose `result()`
        waits for that.

    Raises:
        MissingDependencyError: a model's package is not installed here, where it is to run.
        ModelError: a model does not know an element.
    """
    lacking = find_lacking(db, models, references, on)
    for model, missing in lacking:
        if missing and where is None:
            require_package(model.kind)
    flow = prediction_flow(db, lacking)

    def answer(report: CollectReport) -> dict[str, int]:
        for model, missing in lacking:
            if missing:
                found = db.calculations.one(method=model.id, structure=missing)
                found_record(found, f"prediction of {model.title}", report)
        return {model.id: len(missing) for model, missing in lacking}

    return run(db, flow, answer, where, progress)


def find_lacking(
    db: Database, models: Sequence[ModelMethod], references: Sequence[Method], on: Selection
) -> list[tuple[ModelMethod, list[str]]]:
    """The models, each with the ids of structures that a reference has labelled and it has not."""
    wanted: set[str] = set()
    for reference in references:
        wanted |= set(labelled_structures(db, reference, on).astype(str).tolist())
    return [(model, find_missing(db, model, sorted(wanted))) for model in models]
