"""Fields of many documents as columns, straight from the bytes that the server sends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo.collection import Collection

from forcebase.database.bson_layout import Layout, split_documents
from forcebase.errors import DatabaseError

BATCH = 20_000
"""Documents asked for at once; the server sends 16 MB at most."""


def read_rows(
    collection: Collection,
    query: Mapping[str, Any],
    columns: Mapping[str, str],
    hint: str | None = None,
) -> Iterator[NDArray[Any]]:
    """Yield the columns of the documents that `query` finds, those of one shape together.

    The order is the server's within each shape, batch by batch.

    Args:
        collection: MongoDB's.
        query: a MongoDB query.
        columns: as `Layout.of` takes them; one that a document does not have is left out of the
            rows of its shape.
        hint: name of the index to use.

    Raises:
        DatabaseError: a field does not hold what it should.
    """
    fields = {path.split(".")[0]: 1 for path in columns}
    found = collection.find_raw_batches(query, fields if "_id" in fields else {**fields, "_id": 0})
    for batch in (found.hint(hint) if hint else found).batch_size(BATCH):
        for rows in split_documents(batch):
            yield from _by_layout(rows, columns, collection.name)


def _by_layout(
    rows: NDArray[np.uint8], columns: Mapping[str, str], name: str
) -> Iterator[NDArray[Any]]:
    while len(rows):
        try:
            layout = Layout.of(rows[0].tobytes(), columns)
        except ValueError as error:
            raise DatabaseError(
                f"A record of {name} cannot be read: {error}.", hint="Run `forcebase verify`."
            ) from None
        fits = layout.fits(rows)
        if fits.all():
            yield rows.view(layout.rows)[:, 0]
            return
        yield np.ascontiguousarray(rows[fits]).view(layout.rows)[:, 0]
        rows = rows[~fits]
