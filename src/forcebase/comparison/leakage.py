"""What a model has seen of the structures it is judged on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.records import Method, ModelMethod


class Only(StrEnum):
    """Which structures are compared."""

    ALL = "all"
    UNSEEN = "unseen"
    """Those that the model was not trained on, nor on near copies of them."""


@dataclass(frozen=True)
class Seen:
    """What a model has seen of some structures.

    Attributes:
        trained: (n,) in its training or validation set, or in that of a model it was tuned from.
        related: (n,) a member of their family is, but they are not.
        known: whether all that it was trained on is in this database; if not, the rest may have
            been seen too.
    """

    trained: NDArray[np.bool_]
    related: NDArray[np.bool_]
    known: bool

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """(n,) neither trained on nor near to what was."""
        return ~self.trained & ~self.related

    def counts(self) -> dict[str, int]:
        """How many are of which kind, as a validation keeps it."""
        rest = int(self.unseen.sum())
        return {
            "n_in_training": int(self.trained.sum()),
            "n_same_family": int(self.related.sum()),
            "n_new": rest if self.known else 0,
            "n_unknown": 0 if self.known else rest,
        }


def seen_by(db: Database, model: Method, frames: Frames) -> Seen:
    """Look up what a model was trained on among these structures; DFT was trained on nothing."""
    trained = np.zeros(len(frames), dtype=bool)
    related = trained.copy()
    known = True
    for member in _with_parents(db, model):
        if not member.dataset:
            known = False
            continue
        seen = {"dataset": member.dataset, "split": {"$in": ["train", "valid"]}}
        rows = list(db.members.raw.find(seen, {"structure": 1, "family": 1, "_id": 0}))
        trained |= np.isin(frames.structures, [row["structure"] for row in rows])
        related |= np.isin(frames.families, [row["family"] for row in rows if row["family"]])
    return Seen(trained, related & ~trained, known)


def require_unseen(seen: Seen, model: Method) -> NDArray[np.bool_]:
    """Which of the structures are unseen.

    Raises:
        InputError: nothing is known of what the model was trained on, or none is left.
    """
    if not seen.known:
        raise InputError(
            f"What {model.title} was trained on is not in this database, so nobody can say what "
            "it has not seen.",
            hint="Compare without --only unseen; the table says how many are unknown.",
        )
    if not seen.unseen.any():
        counts = seen.counts()
        raise InputError(
            f"{model.title} has seen all of these structures or members of their families: "
            f"{counts['n_in_training']} were trained on, {counts['n_same_family']} are of the "
            "family of one that was.",
            hint="Compare on a dataset's test split.",
        )
    return seen.unseen


def _with_parents(db: Database, model: Method) -> Iterator[ModelMethod]:
    """A model, and those that it was tuned from, one after the other."""
    while isinstance(model, ModelMethod):
        yield model
        if not model.parent:
            return
        model = db.methods.get(model.parent)
