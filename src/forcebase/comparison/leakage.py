"""What a model has seen of the structures it is judged on."""

from __future__ import annotations

import numpy as np

from forcebase.database.database import Database
from forcebase.frames import Frames
from forcebase.records import Method, ModelMethod


def leakage(db: Database, model: Method, frames: Frames) -> dict[str, int]:
    """How many of the structures the model was trained on, has near copies of, or never saw."""
    dataset_id = model.dataset if isinstance(model, ModelMethod) else None
    seen_structures: set[str] = set()
    seen_families: set[str] = set()
    if dataset_id:
        seen = {"dataset": dataset_id, "split": {"$in": ["train", "valid"]}}
        for row in db.members.raw.find(seen):
            seen_structures.add(row["structure"])
            seen_families.add(row["family"])
    trained = np.isin(frames.structures, list(seen_structures))
    related = np.isin(frames.families, list(seen_families)) & ~trained
    return {
        "n_in_training": int(trained.sum()),
        "n_same_family": int(related.sum()),
        "n_new": int((~trained & ~related).sum()),
    }
