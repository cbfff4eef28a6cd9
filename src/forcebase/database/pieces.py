"""Queries for many ids at once, in pieces that MongoDB takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

IDS_AT_ONCE = 50_000
"""A query, like any document, has at most 16 MB: 200,000 ids."""


def in_pieces(query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield queries that together find what `query` does, each document once.

    Lists of `$in` that are too long are cut, their values sorted and taken once. They must be of
    a field that holds one value, not a list, as ids do.
    """
    for key, value in query.items():
        if key == "$and":
            for i, part in enumerate(value):
                parts = list(in_pieces(part))
                if len(parts) > 1:
                    for piece in parts:
                        yield from in_pieces({**query, key: [*value[:i], piece, *value[i + 1 :]]})
                    return
        elif isinstance(value, Mapping) and len(value.get("$in", ())) > IDS_AT_ONCE:
            wanted = sorted(set(value["$in"]))
            for start in range(0, len(wanted), IDS_AT_ONCE):
                some = {**value, "$in": wanted[start : start + IDS_AT_ONCE]}
                yield from in_pieces({**query, key: some})
            return
    yield dict(query)
