"""Which structures a method has labelled, and by which calculations: ids alone, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.label_columns import BY_STRUCTURE, joined
from forcebase.database.pieces import in_pieces
from forcebase.database.raw_rows import read_rows

FEW = 10
"""Up to one in so many of a method's calculations are looked up by structure; more are scanned."""


@dataclass(frozen=True)
class LabelIds:
    """n calculations of one method, by structure and then by id.

    Attributes:
        structures: (n,) ids, 64 hex digits.
        ids: (n,) of the calculations.
    """

    structures: NDArray[np.bytes_]
    ids: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> LabelIds:
        """Those at `rows`."""
        return LabelIds(self.structures[rows], self.ids[rows])

    def replicate(self, number: int) -> LabelIds:
        """One for each structure that has so many, by id: 0 for the first of each."""
        starts = np.searchsorted(self.structures, self.structures)
        return self.take(np.arange(len(self)) - starts == number)

    def joined(self, others: Sequence[LabelIds]) -> LabelIds:
        """These and others, by structure; of one structure these come first."""
        parts = [self, *others]
        structures = np.concatenate([part.structures for part in parts])
        ids = np.concatenate([part.ids for part in parts])
        source = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        order = np.lexsort((ids, source, structures))
        return LabelIds(structures[order], ids[order])


def read_label_ids(
    db: Database,
    method: str,
    query: Mapping[str, Any] | None = None,
    structures: NDArray[np.bytes_] | None = None,
) -> LabelIds:
    """Read which calculations of a method there are.

    Args:
        db: the database.
        method: its id.
        query: a MongoDB query on `calculations`.
        structures: (n,) ids, sorted; only calculations of these.

    Returns:
        Without DFT that did not converge, unless the query is of ids or of `converged`.
    """
    raw = db.calculations.raw
    query = dict(query or {})
    if structures is not None and FEW * len(structures) < raw.count_documents({"method": method}):
        query["structure"] = {"$in": structures.astype(str).tolist()}
    index = None if query else BY_STRUCTURE  # which then answers alone
    columns = {"_id": "S", "structure": "S"}
    found = [
        rows
        for piece in in_pieces({"method": method, **query})
        for rows in read_rows(raw, piece, columns, index)
    ]
    ids = joined([rows["_id"] for rows in found], "S64")
    labelled = joined([rows["structure"] for rows in found], "S64")
    order = np.lexsort((ids, labelled))
    all_ids = LabelIds(labelled[order], ids[order])
    if structures is not None:
        all_ids = all_ids.take(np.isin(all_ids.structures, structures))
    if not {"_id", "converged"} & set(_fields(query)):
        all_ids = all_ids.take(~np.isin(all_ids.ids, _unconverged(db, method)))
    return all_ids


def _fields(query: Mapping[str, Any]) -> Iterator[str]:
    """Fields that a query asks of, as far as all of its conditions must hold."""
    for name, value in query.items():
        if name == "$and":
            for part in value:
                yield from _fields(part)
        else:
            yield name


def _unconverged(db: Database, method: str) -> NDArray[np.bytes_]:
    """Ids of the DFT calculations of a method that did not converge, from their small index."""
    asked = {"converged": False, "method": method, "method_class": "dft"}
    return joined(
        [rows["_id"] for rows in read_rows(db.calculations.raw, asked, {"_id": "S"})], "S64"
    )
