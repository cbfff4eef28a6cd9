"""Some fields of a record, where the whole of it was not asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from forcebase.records.array_field import decode_array


class Row(Mapping[str, Any]):
    """A record's id and the fields that were asked for, as items and as attributes.

    Args:
        paths: field's name, as it was asked for -> its path in the stored form.
        stored: the stored form of these.
    """

    def __init__(self, paths: Mapping[str, str], stored: Mapping[str, Any]) -> None:
        self._values = {"id": stored["_id"]}
        self._values |= {name: _plain(value_at(stored, path)) for name, path in paths.items()}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise AttributeError(
            f"{name!r} was not read: only {', '.join(values)} were asked for, by fields=[...]."
        )

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"Row({told})"


def value_at(document: Any, path: str) -> Any:
    """What stands at a dotted path of a stored document; of lists of objects, in each of them."""
    for place, name in enumerate(parts := path.split(".")):
        if isinstance(document, list):
            rest = ".".join(parts[place:])
            return [value_at(one, rest) for one in document]
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def outer(paths: Iterable[str]) -> list[str]:
    """Paths without those that others contain, which MongoDB would refuse."""
    found: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{other}.") for other in found):
            found.append(path)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return decode_array(dict(value)) if {"dtype", "shape", "data"} == set(value) else value
    return value
