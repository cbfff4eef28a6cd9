"""Joining the calculations of two methods on their common structures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.reading import read_frames
from forcebase.errors import NotFoundError
from forcebase.frames import Frames
from forcebase.records import Method


@dataclass(frozen=True)
class Pairs:
    """Both sides of a comparison of labels, row for row the same structures."""

    model: Frames
    reference: Frames
    missing: list[str]
    """Structure ids that the reference has and the model was never asked for."""

    def __len__(self) -> int:
        return len(self.reference)

    def where(self, chosen: NDArray[np.bool_]) -> Pairs:
        """Those at which `chosen`, (n,), is true; what is missing stays the same."""
        rows = np.flatnonzero(chosen)
        return Pairs(self.model.take(rows), self.reference.take(rows), self.missing)


def join(db: Database, model: Method, reference: Method, structures: Mapping[str, Any]) -> Pairs:
    """Read the calculations of both methods on the same structures.

    Args:
        db: the database.
        model: one method.
        reference: the other.
        structures: a MongoDB query on `calculations` of the reference; {} for all.

    Raises:
        NotFoundError: the two have no structure in common.
    """
    right = one_per_structure(read_frames(db, {"method": reference.id, **structures}))
    wanted = {"method": model.id, "structure": {"$in": right.structures.tolist()}}
    left = one_per_structure(read_frames(db, wanted))
    place = {structure: i for i, structure in enumerate(left.structures)}
    common = [i for i, s in enumerate(right.structures) if s in place]
    missing = [str(s) for s in right.structures if s not in place]
    if not common:
        raise NotFoundError(
            f"{model.title} and {reference.title} have no structure in common here.",
            hint=f"`forcebase predict {model.id[:10]} ...` computes the model's side.",
            missing=missing,
        )
    kept = right.take(common)
    return Pairs(left.take([place[s] for s in kept.structures]), kept, missing)


def one_per_structure(frames: Frames) -> Frames:
    """The first of replicates, by id; their spread is the noise floor, not an error."""
    _, first = np.unique(frames.structures, return_index=True)
    return frames.take(np.sort(first))
