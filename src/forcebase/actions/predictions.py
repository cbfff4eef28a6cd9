"""Predictions: what a model has not labelled yet."""

from __future__ import annotations

from collections.abc import Sequence

from ase.data import chemical_symbols

from forcebase.actions.preconditions import check_elements
from forcebase.actions.running import found_record, run
from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.database.publishing import publish_frames, publish_model
from forcebase.database.reading import read_unlabelled_frames
from forcebase.makers.prediction import PredictMaker
from forcebase.models.loading import require_package
from forcebase.progress import Progress
from forcebase.records import ModelMethod


def predict(
    db: Database,
    model: ModelMethod,
    structure_ids: Sequence[str],
    *,
    again: bool = False,
    progress: Progress | None = None,
) -> int:
    """Have the model label the structures that it has not labelled yet, and give their number.

    Args:
        db: the database.
        model: its record.
        structure_ids: of the structures.
        again: label all of them, to hold the model to what it gave before; that stays.
        progress: told of each batch.

    Raises:
        MissingDependencyError: the model's package is not installed, and something is missing.
    """
    asked = {"method": model.id, "structure": {"$in": list(structure_ids)}}
    # the index holds both fields, and so is all that is read
    fields = {"structure": 1, "_id": 0}
    found = (db.calculations.raw.find(piece, fields) for piece in in_pieces(asked))
    done = {row["structure"] for rows in found for row in rows}
    missing = sorted(set(structure_ids) - (set() if again else done))
    if missing:
        frames = read_unlabelled_frames(db, missing)
        check_elements(model, {chemical_symbols[z] for z in set(frames.numbers.tolist())})
        require_package(model.kind)
        job = PredictMaker().make(publish_model(db, model), publish_frames(db, frames))
        report = run(db, job, progress)
        found_record(db.calculations.one(method=model.id, structure=missing), "prediction", report)
    return len(missing)
