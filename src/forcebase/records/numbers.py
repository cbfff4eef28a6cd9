"""Nested numbers by attribute: `errors.forces.mae` for `errors["forces"]["mae"]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from forcebase.records.bound import html_table

SHOWN = ("n", "mae", "rmse", "p95", "max", "r2")
"""Of the errors of one quantity, those that are shown."""


class Numbers(Mapping[str, Any]):
    """A read-only mapping whose entries are attributes too, where their names can be."""

    def __init__(self, content: Mapping[str, Any], title: str = "") -> None:
        self._content, self._title = dict(content), title

    def __getitem__(self, name: str) -> Any:
        held = self._content[name]
        return Numbers(held, name) if isinstance(held, Mapping) else held

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._content:
            known = ", ".join(map(str, self.__dict__.get("_content", ())))
            raise AttributeError(f"There is no {name!r} here; there are: {known}.")
        return self[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(n for n in self._content if str(n).isidentifier())})

    def __repr__(self) -> str:
        parts = [
            f"{name}: {_told(value)}"
            for name, value in self._content.items()
            if value is not None and not isinstance(value, list)
        ]
        return f"<{self._title or 'numbers'}: {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        rows = [(name, _told(value)) for name, value in self._content.items() if value is not None]
        return html_table(self._title, ("", ""), rows)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        unit = str(value.get("unit") or "")
        told = [f"{key} {_told(value[key])}" for key in SHOWN if isinstance(value.get(key), float)]
        return " ".join([*told, unit]).strip() if told else f"{{{', '.join(map(str, value))}}}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"{len(value)} entries"
    return str(value)
