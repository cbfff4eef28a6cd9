"""Questions about MongoDB queries: whether an index answers one, what it asks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from forcebase.errors import InputError

UNBOUNDED = {"$ne", "$nin", "$not", "$exists", "$regex", "$size", "$type", "$nor"}
"""Operators that an index does not narrow down."""


def is_indexed(query: Mapping[str, Any], keys: set[str]) -> bool:
    """Whether one of the indexes finds the records, so that few others are read.

    Args:
        query: MongoDB's.
        keys: the first field of each index.
    """
    for name, value in query.items():
        if name == "$and" and any(is_indexed(part, keys) for part in value):
            return True
        if name == "$or" and value and all(is_indexed(part, keys) for part in value):
            return True
        if name in keys and _is_narrow(value):
            return True
    return False


def _is_narrow(value: Any) -> bool:
    if not isinstance(value, Mapping) or not any(str(key).startswith("$") for key in value):
        return True
    if any(key not in UNBOUNDED for key in value):
        return True
    return str(value.get("$regex", "")).startswith("^")


def paths_in(query: Mapping[str, Any]) -> Iterator[str]:
    """Fields that a query asks of."""
    for name, value in query.items():
        if name in ("$and", "$or", "$nor"):
            for part in value:
                yield from paths_in(part)
        elif not name.startswith("$"):
            yield name


def refuse_operators(name: str, value: Any) -> None:
    """Raise InputError where the value of a field would be read as MongoDB's operators.

    Keyword arguments of `find` are values: they come from recipe files and stored records too.
    """
    if isinstance(value, Mapping):
        if any(str(key).startswith("$") for key in value):
            raise InputError(
                f"{name}={value!r}: a value holds no operators of MongoDB.",
                hint=f"Give a text, as '{name} < 5', or a MongoDB query as the first argument.",
            )
        for part in value.values():
            refuse_operators(name, part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            refuse_operators(name, part)
