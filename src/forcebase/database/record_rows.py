"""Many records of one kind at once: validated as columns, digested, and laid out as BSON.

What comes out is byte for byte what the record classes would have stored, one at a time: the first
record of each shape is made by its class, and the others are that one with other values filled in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.bson_layout import Layout
from forcebase.digest import canonical_text
from forcebase.records.base import CHECKSUM, Record

Columns = Mapping[str, NDArray[Any]]


def fill_rows(record: Record, columns: Columns, digests: NDArray[np.bytes_]) -> NDArray[Any]:
    """Lay out records that differ from `record` in these columns only.

    Args:
        record: one of them, made by its class.
        columns: path of a value, as "forces.data", to its values, (n, ...).
        digests: (n,) the records' ids.

    Returns:
        (n,) rows of NumPy's structured type, for `bson_layout.documents`.
    """
    document = record.to_mongo().to_dict()
    filled = {**columns, "_id": digests}
    kinds = {path: "S" if c.dtype.kind == "S" else c.dtype.str for path, c in filled.items()}
    # the checksum covers the fields in the order of their names, as `document_checksum` has it
    sealed = {key: document[key] for key in sorted(document) if key != CHECKSUM}
    covered = _filled(Layout.of(sealed, kinds), filled)
    checksums = row_digests(covered.view(np.uint8).reshape(len(digests), -1))
    layout = Layout.of(document, {**kinds, CHECKSUM: "S"})
    return _filled(layout, {**filled, CHECKSUM: checksums})


def _filled(layout: Layout, columns: Columns) -> NDArray[Any]:
    n = len(next(iter(columns.values())))
    rows = layout.blank(n)
    for path, values in columns.items():
        rows[path] = values.reshape(rows[path].shape)
    return rows


def row_digests(rows: NDArray[Any]) -> NDArray[np.bytes_]:
    """(n,) SHA-256 of the bytes of each row, 64 hex digits; rows are made contiguous."""
    table = np.ascontiguousarray(rows).reshape(len(rows), -1)
    data, size = table.tobytes(), table.shape[1] * table.dtype.itemsize
    sha256 = hashlib.sha256
    return np.array(
        [sha256(data[i : i + size]).hexdigest() for i in range(0, len(data), size)], dtype="S64"
    )


class ContentText:
    """The canonical text of contents that differ in some values only.

    Args:
        content: the content of one of them, as `Record.content` gives it.
        open_values: path of keys, as ("calculation", "energy"), of each value that differs; for an
            array, what differs is its SHA-256.
    """

    def __init__(self, content: Mapping[str, Any], open_values: Sequence[tuple[str, ...]]) -> None:
        shown = _plain(content)
        for place, path in enumerate(open_values):
            holder: Any = shown
            for key in path[:-1]:
                holder = holder[key]
            value: Any = holder[path[-1]]
            mark: Any = f"\x00{place}"
            if isinstance(value, np.ndarray):  # as the canonical form of an array has it
                mark = {"dtype": "<f8", "shape": list(value.shape), "sha256": mark}
            holder[path[-1]] = mark
        text = canonical_text(shown).replace("%", "%%")
        marks = [f'"\\u0000{place}"' for place in range(len(open_values))]
        self._order = sorted(range(len(marks)), key=lambda place: text.index(marks[place]))
        for mark in marks:
            text = text.replace(mark, "%s")
        self._text = text

    def digests(self, *values: Sequence[str]) -> NDArray[np.bytes_]:
        """(n,) digests of the contents; values are JSON text, one sequence for each open one."""
        sha256, text = hashlib.sha256, self._text
        ordered = [values[place] for place in self._order]
        found = [sha256((text % row).encode()).hexdigest() for row in zip(*ordered, strict=True)]
        return np.array(found, dtype="S64")


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def quoted(digests: NDArray[np.bytes_]) -> list[str]:
    """Digests as JSON text."""
    return [f'"{d.decode()}"' for d in digests.tolist()]
