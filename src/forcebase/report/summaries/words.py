"""Words that several summaries share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from ase.cell import Cell
from numpy.typing import ArrayLike

from forcebase.database.called import called
from forcebase.database.database import Database

SHORT = 10
MOST = 6
"""Of a list, so many are named."""


def reference(db: Database, record: str | None) -> str:
    """What a record is called, with the first digits of its id."""
    if not record:
        return ""
    name = called(db, [record])[record]
    return name if name.endswith(record[:SHORT]) else f"{name} ({record[:SHORT]})"


def listed(names: Iterable[Any], most: int = MOST) -> str:
    """The first few, and how many more there are."""
    found = [str(name) for name in names]
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")


def lattice(cell: ArrayLike) -> str:
    """As "3.311 3.311 16.000 A, 90.0 90.0 120.0 degrees"."""
    a = Cell(np.asarray(cell, dtype=float)).cellpar()
    lengths, angles = (" ".join(f"{x:.{d}f}" for x in part) for part, d in ((a[:3], 3), (a[3:], 1)))
    return f"{lengths} A, {angles} degrees"


def settings(content: Any) -> str:
    """A dictionary as "key value, key value"; empty where there is nothing to say."""
    if not isinstance(content, dict):
        return str(content or "")
    told = []
    for key, value in content.items():
        if value in (None, "", [], {}):
            continue
        inside = f"({settings(value)})" if isinstance(value, dict) else _plain(value)
        told.append(f"{key} {inside}")
    return ", ".join(told)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        whole = all(type(item) is int for item in value)
        return "x".join(map(str, value)) if whole else listed(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
