"""Predictions: what a model has not labelled yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from ase.data import chemical_symbols
from jobflow import Flow, Job

from forcebase.actions.preconditions import check_elements
from forcebase.actions.running import Where, found_record, run
from forcebase.actions.running_there import Handle
from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.database.publishing import publish_frames, publish_model
from forcebase.database.reading import read_unlabelled_frames
from forcebase.ingest.collect import CollectReport
from forcebase.makers.prediction import PredictMaker
from forcebase.models.loading import require_package
from forcebase.progress import Progress
from forcebase.records import ModelMethod


@overload
def predict(
    db: Database,
    model: ModelMethod,
    structure_ids: Sequence[str],
    *,
    again: bool = ...,
    where: None = ...,
    progress: Progress | None = ...,
) -> int: ...
@overload
def predict(
    db: Database,
    model: ModelMethod,
    structure_ids: Sequence[str],
    *,
    again: bool = ...,
    where: Where,
) -> Handle[int]: ...
def predict(
    db: Database,
    model: ModelMethod,
    structure_ids: Sequence[str],
    *,
    again: bool = False,
    where: Where | None = None,
    progress: Progress | None = None,
) -> int | Handle[int]:
    """Have the model label the structures that it has not labelled yet, and give their number.

    Args:
        db: the database.
        model: its record.
        structure_ids: of the structures.
        again: label all of them, to compare the model with what it gave before; that stays.
        where: elsewhere: a worker's name, or a place.
        progress: told of each batch.

    Returns:
        The number; elsewhere a handle, whose `result()` waits for them.

    Raises:
        MissingDependencyError: the model's package is not installed here, where it is to run.
    """
    missing = sorted(set(structure_ids)) if again else find_missing(db, model, structure_ids)
    if missing and where is None:
        require_package(model.kind)
    flow = prediction_flow(db, [(model, missing)])

    def answer(report: CollectReport) -> int:
        if missing:
            found = db.calculations.one(method=model.id, structure=missing)
            found_record(found, "prediction", report)
        return len(missing)

    return run(db, flow, answer, where, progress)


def find_missing(db: Database, model: ModelMethod, structure_ids: Sequence[str]) -> list[str]:
    """Those of the structures that the model has not labelled."""
    asked = {"method": model.id, "structure": {"$in": list(structure_ids)}}
    # the index holds both fields, and so is all that is read
    fields = {"structure": 1, "_id": 0}
    found = (db.calculations.raw.find(piece, fields) for piece in in_pieces(asked))
    done = {row["structure"] for rows in found for row in rows}
    return sorted(set(structure_ids) - done)


def prediction_flow(db: Database, missing: Sequence[tuple[ModelMethod, Sequence[str]]]) -> Flow:
    """Make the flow in which models label structures: a job for each model that lacks some.

    Args:
        db: the database.
        missing: models, each with the ids of the structures that it is to label.

    Raises:
        ModelError: a model does not know an element.
    """
    jobs: list[Flow | Job] = []
    for model, ids in missing:
        if not ids:
            continue
        frames = read_unlabelled_frames(db, list(ids))
        check_elements(model, {chemical_symbols[z] for z in set(frames.numbers.tolist())})
        jobs.append(PredictMaker().make(publish_model(db, model), publish_frames(db, frames)))
    return Flow(jobs, name="predictions")
