"""Joining the calculations of two methods on their common structures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.comparison.replicates import one_each
from forcebase.database.compared import pack_inputs
from forcebase.database.database import Database
from forcebase.database.equivalences import equal_methods
from forcebase.database.label_ids import LabelIds, read_label_ids
from forcebase.database.reading import read_frames
from forcebase.errors import NotFoundError
from forcebase.frames import Frames
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records import Method

PAIRS_AT_ONCE = 5000
"""Structures whose labels are in memory together."""


@dataclass(frozen=True)
class Pairs:
    """Both sides of a comparison of labels, row for row the same structures."""

    model: Frames
    reference: Frames

    def __len__(self) -> int:
        return len(self.reference)


@dataclass(frozen=True)
class Join:
    """Which calculations of two methods are compared: ids alone, some 300 bytes a structure.

    Attributes:
        model: of the one method, one a structure.
        reference: of the other, row for row of the same structures.
        missing: ids of structures that the reference has labelled and the model has not.
    """

    model: LabelIds
    reference: LabelIds
    missing: list[str]

    def __len__(self) -> int:
        return len(self.reference)

    @property
    def structures(self) -> NDArray[np.bytes_]:
        """(n,) ids of the structures, sorted."""
        return self.reference.structures

    @property
    def calculations(self) -> list[str]:
        """Ids of the calculations of both sides."""
        return [*self.model.ids.astype(str).tolist(), *self.reference.ids.astype(str).tolist()]

    def packed(self) -> bytes:
        """The same as a validation keeps them."""
        return pack_inputs(self.calculations)

    def where(self, chosen: NDArray[np.bool_]) -> Join:
        """Those at which `chosen`, (n,), is true; what is missing stays the same."""
        return replace(self, model=self.model.take(chosen), reference=self.reference.take(chosen))

    def read(self, db: Database, energy: EnergyKind = EnergyKind.FREE) -> Pairs:
        """Read all labels at once, in the order of the structures' ids.

        Args:
            db: the database.
            energy: the kind that is taken of records that have both.

        Raises:
            NotFoundError: one of the calculations was deleted meanwhile.
        """
        return read_pairs(db, self.model.ids, self.reference.ids, energy)

    def pairs(self, db: Database, energy: EnergyKind = EnergyKind.FREE) -> Iterator[Pairs]:
        """Read them `PAIRS_AT_ONCE` structures after another; arguments as of `read`.

        Raises:
            NotFoundError: one of the calculations was deleted meanwhile.
        """
        for start in range(0, len(self), PAIRS_AT_ONCE):
            part = np.arange(start, min(start + PAIRS_AT_ONCE, len(self)))
            yield Join(self.model.take(part), self.reference.take(part), []).read(db, energy)


def join(db: Database, model: Method, reference: Method, query: Mapping[str, Any]) -> Join:
    """Find the calculations of both methods on the same structures.

    Labels of methods that are taken for one with the reference count as its own. Of several meshes
    the densest is taken, of replicates the first by id; their spread is the noise floor, not an
    error. DFT that did not converge is left out, unless the query is for certain calculations or
    for just these.

    Args:
        db: the database.
        model: one method.
        reference: the other.
        query: a MongoDB query on `calculations` of the reference; {} for all.

    Raises:
        NotFoundError: the reference has nothing of it, or the two have no structure in common.
        InputError: a structure has labels of unlike charges or magnetic states.
    """
    every = read_label_ids(db, reference.id, query)
    equal = [name for name in equal_methods(db, [reference.id]) if name != reference.id]
    if not reference.is_model and equal:
        every = every.joined([read_label_ids(db, name, query) for name in equal])
    right = one_each(db, reference, every)
    if not len(right):
        raise NotFoundError(
            f"{reference.title} has labelled nothing of what is asked for.",
            hint="`forcebase ls calculations` takes the same filters.",
        )
    answers = read_label_ids(db, model.id, structures=right.structures)
    left = one_each(db, model, answers, like=right)
    common = np.isin(right.structures, left.structures, assume_unique=True)
    missing = right.structures[~common].astype(str).tolist()
    if not common.any():
        raise NotFoundError(
            f"{model.title} and {reference.title} have no structure in common here.",
            hint=f"`forcebase predict {model.id[:10]} ...` computes the model's side.",
            missing=missing,
        )
    return Join(left, right.take(common), missing)


def read_pairs(
    db: Database,
    model: NDArray[np.bytes_],
    reference: NDArray[np.bytes_],
    energy: EnergyKind = EnergyKind.FREE,
) -> Pairs:
    """Read the labels of both sides.

    Args:
        db: the database.
        model: (n,) ids of calculations of the one side, as S64.
        reference: (n,) of the other, row for row of the same structures.
        energy: the kind that is taken of records that have both.

    Raises:
        NotFoundError: one of the calculations was deleted meanwhile.
    """
    wanted = np.concatenate([model, reference])
    frames = read_frames(db, {"_id": {"$in": np.unique(wanted).astype(str).tolist()}}, energy)
    known = np.char.encode(frames.ids, "ascii")
    gone = np.setdiff1d(wanted, known)
    if len(gone):
        raise NotFoundError(
            f"{len(gone)} calculations were deleted meanwhile, as {gone[0].decode()[:10]}.",
            hint="Compare once more.",
        )
    place = np.searchsorted(known, wanted)
    return Pairs(frames.take(place[: len(model)]), frames.take(place[len(model) :]))
