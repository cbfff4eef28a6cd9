"""Two methods on the same structures, as columns, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.label_blocks import digits_of, drop_blocks, labels_of
from forcebase.database.label_columns import LabelColumns

HEX = "0123456789abcdef"


@dataclass(frozen=True)
class LabelPairs:
    """Some structures that both methods have labelled, row for row the same, by id.

    Of replicates, the first by id stands for them all.

    Attributes:
        model: labels of the one method.
        reference: labels of the other.
        missing: (m,) ids of structures here that the reference has and the model has not.
    """

    model: LabelColumns
    reference: LabelColumns
    missing: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.reference)


def iterate_pairs(db: Database, model: str, reference: str) -> Iterator[LabelPairs]:
    """Yield all structures that two methods have labelled, in the order of their ids.

    Memory stays bounded, whatever the number of records: one block of each method. What is written
    meanwhile shows or not, record by record.

    Args:
        db: the database.
        model: id of the one method.
        reference: id of the other.

    Raises:
        NotFoundError: a structure is not in the database.
        DatabaseError: a record has not the form of a record.
    """
    sides = [_Side(db, method) for method in (model, reference)]
    for prefix in map("".join, product(HEX, repeat=max(side.digits for side in sides))):
        right = sides[1].labels(prefix)
        if len(right):
            yield _pair(sides[0].labels(prefix), right)
    for side in sides:
        drop_blocks(db, side.method, side.digits)


class _Side:
    """Labels of one method under any prefix that is as long as its blocks' or longer."""

    def __init__(self, db: Database, method: str) -> None:
        self.method = method
        self.digits = digits_of(db, method)
        self._db = db
        self._prefix: str | None = None
        self._block: LabelColumns

    def labels(self, prefix: str) -> LabelColumns:
        """Labels under the prefix, one for each structure; the block they are in is kept."""
        whole = prefix[: self.digits]
        if self._prefix != whole:
            self._block = _one_per_structure(labels_of(self._db, self.method, whole))
            self._prefix = whole
        if prefix == whole:
            return self._block
        edges = np.array([prefix, f"{prefix}g"], dtype="S")
        first, last = np.searchsorted(self._block.structures, edges)
        return self._block.take(np.arange(first, last))


def _one_per_structure(labels: LabelColumns) -> LabelColumns:
    first = np.ones(len(labels), dtype=bool)
    first[1:] = labels.structures[1:] != labels.structures[:-1]
    return labels if first.all() else labels.take(np.flatnonzero(first))


def _pair(left: LabelColumns, right: LabelColumns) -> LabelPairs:
    if np.array_equal(left.structures, right.structures):
        return LabelPairs(left, right, right.structures[:0])
    _, at_left, at_right = np.intersect1d(
        left.structures, right.structures, assume_unique=True, return_indices=True
    )
    alone = np.ones(len(right), dtype=bool)
    alone[at_right] = False
    return LabelPairs(left.take(at_left), right.take(at_right), right.structures[alone])
