"""The noise floor of a comparison of labels: how far one method is from itself.

An error below it says nothing of the model. It is looked up when a comparison is shown and is no
part of its record, as the records that tell it may come later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forcebase.comparison.joining import Pairs, one_per_structure
from forcebase.database.database import Database
from forcebase.database.reading import read_frames
from forcebase.frames import Frames
from forcebase.physics.metrics import LabelErrors, compare_frames
from forcebase.records import Method, ModelMethod


@dataclass(frozen=True)
class Floor:
    """One method held to itself on some of the structures of a comparison.

    Attributes:
        what: "replicates" or "precision".
        method: id of the method of the comparison.
        other: id of the method it was held to: the same for replicates.
        errors: of the one against the other.
    """

    what: str
    method: str
    other: str
    errors: LabelErrors

    def as_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def noise_floors(db: Database, model: Method, reference: Method, pairs: Pairs) -> list[Floor]:
    """Look for what tells the noise of both sides on the structures compared.

    Replicates: calculations of one structure that the same method did twice, with another answer.
    Precision: the same weights in float32 and in float64.
    """
    structures = pairs.reference.structures.tolist()
    floors = []
    for method in {reference.id: reference, model.id: model}.values():
        labels = read_frames(db, {"method": method.id, "structure": {"$in": structures}})
        first = one_per_structure(labels)
        again = one_per_structure(labels.take(np.flatnonzero(~np.isin(labels.ids, first.ids))))
        if len(again):
            floors.append(_floor("replicates", method, method, first, again))
        for sibling in _siblings(db, method):
            asked = {"method": sibling.id, "structure": {"$in": structures}}
            answers = one_per_structure(read_frames(db, asked))
            if len(answers):
                floors.append(_floor("precision", method, sibling, first, answers))
    return floors


def _floor(what: str, method: Method, other: Method, labels: Frames, against: Frames) -> Floor:
    shared = np.flatnonzero(np.isin(labels.structures, against.structures))
    errors = compare_frames(labels.take(shared), against).overall
    return Floor(what, method.id, other.id, errors)


def _siblings(db: Database, method: Method) -> list[Method]:
    """Models of the same weights in another precision."""
    if not isinstance(method, ModelMethod):
        return []
    alike = db.methods.find({"weights": method.weights, "dtype": {"$ne": method.dtype}})
    return [
        model
        for model in alike
        if isinstance(model, ModelMethod)
        and (model.head, model.arguments, model.package)
        == (method.head, method.arguments, method.package)
    ]
