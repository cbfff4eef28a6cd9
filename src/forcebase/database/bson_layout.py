"""BSON documents of one shape are rows of one table of bytes.

Two calculations of twelve atoms differ in a few numbers and ids; every length, type and field name
is the same, at the same place. So many of them can be written by filling columns into copies of
one, and read as columns without looking at them one by one. What differs in any other byte does
not fit, and is said so: nothing is guessed.

Layout of BSON: https://bsonspec.org/spec.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

DOUBLE, TEXT, DOCUMENT, ARRAY, BINARY, BOOLEAN = 0x01, 0x02, 0x03, 0x04, 0x05, 0x08
FIXED_SIZES = {DOUBLE: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
"""Bytes of a value by its type: undefined, object id, boolean, date, null, integers, ..."""


@dataclass(frozen=True)
class Layout:
    """Where the columns are in documents of one shape.

    Attributes:
        template: one such document.
        rows: NumPy's structured type of a document, one name a column.
        fixed: (size,) True for bytes that belong to no column.
    """

    template: bytes
    rows: np.dtype
    fixed: NDArray[np.bool_]

    @classmethod
    def of(cls, document: Mapping[str, Any] | bytes, columns: Mapping[str, str]) -> Layout:
        """Find the columns in a document.

        Args:
            document: one of them, with any values.
            columns: path, as "provenance.edges.0.record", to NumPy's type of its items: "<f8" for
                a float or binary floats, "S" for text, "?" for a boolean. Those that the document
                does not have are left out.

        Raises:
            ValueError: what is there is of another type, or does not hold whole items.
        """
        template = document if isinstance(document, bytes) else bson.encode(document)
        spans = {path: (start, size, kind) for path, start, size, kind in _values(template)}
        fixed = np.ones(len(template), dtype=bool)
        names = [path for path in columns if path in spans]
        formats, offsets = [], []
        for path in names:
            start, size, kind = spans[path]
            fixed[start : start + size] = False
            formats.append(_format(columns[path], size, kind))
            offsets.append(start)
        rows: Any = {"names": names, "formats": formats, "offsets": offsets}
        rows["itemsize"] = len(template)
        return cls(template, np.dtype(rows), fixed)

    def blank(self, n: int) -> NDArray[Any]:
        """Give (n,) copies of the template, to be filled column by column."""
        return np.frombuffer(bytearray(self.template) * n, dtype=self.rows)

    def fits(self, rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(n,) which of the documents, (n, size) bytes, have this layout."""
        expected = np.frombuffer(self.template, dtype=np.uint8)[self.fixed]
        return (rows[:, self.fixed] == expected).all(axis=1)


def documents(rows: NDArray[Any]) -> Iterator[RawBSONDocument]:
    """Yield filled rows as documents that pymongo sends as they are."""
    data, size = rows.tobytes(), rows.dtype.itemsize
    for start in range(0, len(data), size):
        yield RawBSONDocument(data[start : start + size])


def split_documents(batch: bytes) -> Iterator[NDArray[np.uint8]]:
    """Yield the documents of a batch, grouped by size, in order within each group: (n, size)."""
    data = np.frombuffer(batch, dtype=np.uint8)
    starts, sizes = _sizes(batch)
    for size in np.unique(sizes):
        some = starts[sizes == size]
        if len(some) * size == len(data):
            yield data.reshape(-1, size)
        else:
            yield data[some[:, None] + np.arange(size)]


def _sizes(batch: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and size of each document; batches of one size are the rule, and quick."""
    first = int.from_bytes(batch[:4], "little")
    n, rest = divmod(len(batch), first)
    if not rest:
        heads = np.frombuffer(
            batch,
            dtype=np.dtype(
                {"names": ["size"], "formats": ["<i4"], "offsets": [0], "itemsize": first}
            ),
        )
        if (heads["size"] == first).all():
            return np.arange(n) * first, np.full(n, first)
    starts, sizes, at = [], [], 0
    while at < len(batch):
        size = struct.unpack_from("<i", batch, at)[0]
        starts.append(at)
        sizes.append(size)
        at += size
    return np.array(starts), np.array(sizes)


def _format(item: str, size: int, kind: int) -> Any:
    if item == "S" and kind == TEXT:
        return f"S{size}"
    width = np.dtype(item).itemsize if item != "S" else 0
    if (kind, item) in ((DOUBLE, "<f8"), (BOOLEAN, "?")):
        return item
    if kind == BINARY and width and size % width == 0:
        return (item, (size // width,))
    raise ValueError(f"BSON type {kind} of {size} bytes is not a column of {item}")


def _values(data: bytes, start: int = 0, path: str = "") -> Iterator[tuple[str, int, int, int]]:
    """Yield (path, first byte, bytes, type) of every value that is not a document."""
    end = start + struct.unpack_from("<i", data, start)[0] - 1
    at = start + 4
    while at < end:
        kind = data[at]
        stop = data.index(0, at + 1)
        name = path + data[at + 1 : stop].decode()
        at = stop + 1
        if kind in (DOCUMENT, ARRAY):
            yield from _values(data, at, f"{name}.")
            at += struct.unpack_from("<i", data, at)[0]
            continue
        if kind == TEXT:  # length with the closing zero, then the text
            head, size, tail = 4, struct.unpack_from("<i", data, at)[0] - 1, 1
        elif kind == BINARY:  # length, subtype, then the bytes
            head, size, tail = 5, struct.unpack_from("<i", data, at)[0], 0
        else:
            head, size, tail = 0, FIXED_SIZES[kind], 0
        yield name, at + head, size, kind
        at += head + size + tail
