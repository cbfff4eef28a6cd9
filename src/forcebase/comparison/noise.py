"""The noise floor of a comparison of labels: how far one method is from itself.

An error below it says nothing of the model. It is looked up with each comparison and is not
part of its record, as the records that tell it may come later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forcebase.comparison.joining import Join
from forcebase.comparison.replicates import replicate_pairs
from forcebase.database.database import Database
from forcebase.database.label_ids import LabelIds, read_label_ids
from forcebase.physics.label_errors import LabelErrors
from forcebase.physics.metrics import FrameTally
from forcebase.records import Method, ModelMethod


@dataclass(frozen=True)
class Floor:
    """One method compared with itself on some of the structures of a comparison.

    Attributes:
        what: "replicates" or "precision".
        method: id of the method of the comparison.
        other: id of the method it was compared with: the same for replicates.
        errors: of the one against the other.
    """

    what: str
    method: str
    other: str
    errors: LabelErrors

    def as_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def noise_floors(db: Database, model: Method, reference: Method, compared: Join) -> list[Floor]:
    """Look for what tells the noise of both sides on the structures compared.

    Replicates: calculations of one structure that the same method did twice, alike in all that it
    gave (`forcebase.comparison.replicates`), with another answer.
    Precision: the same weights in float32 and in float64.
    """
    floors = []
    for method in {reference.id: reference, model.id: model}.values():
        labels = read_label_ids(db, method.id, structures=compared.structures)
        first = labels.replicate(0)
        pairs = replicate_pairs(db, method, labels)
        floors.append(_floor(db, "replicates", method, method, *pairs))
        for sibling in _siblings(db, method):
            answers = read_label_ids(db, sibling.id, structures=compared.structures)
            floors.append(_floor(db, "precision", method, sibling, first, answers.replicate(0)))
    return [floor for floor in floors if floor is not None]


def _floor(
    db: Database, what: str, method: Method, other: Method, labels: LabelIds, against: LabelIds
) -> Floor | None:
    """Compare the labels with the others, each of which has its like; None if there are none."""
    if not len(against):
        return None
    alike = np.isin(labels.structures, against.structures, assume_unique=True)
    tally = FrameTally()
    for pairs in Join(labels.take(alike), against, missing=[]).pairs(db):
        tally.add(pairs.model, pairs.reference)
    return Floor(what, method.id, other.id, tally.errors().overall)


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
