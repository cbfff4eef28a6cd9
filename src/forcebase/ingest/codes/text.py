"""Labels and versions in a code's text, each by one regular expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from forcebase.errors import InputError

T = TypeVar("T")
D = TypeVar("D")


def first(pattern: str, text: str, kind: Callable[[str], T], default: D) -> T | D:
    """Give the first group of the first match, turned by `kind`, or the default."""
    found = re.search(pattern, text, re.MULTILINE)
    return kind(found.group(1).strip()) if found else default


def required(pattern: str, text: str, what: str) -> str:
    """Give the first group of the first match.

    Raises:
        InputError: there is none; the message says what is missing.
    """
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise InputError(f"it does not say {what}: the file is cut off or of another version.")
    return found.group(1).strip()


def integers(text: str) -> tuple[int, ...]:
    """All whole numbers in a text."""
    return tuple(int(n) for n in re.findall(r"-?\d+", text))


def rows(pattern: str, text: str) -> list[list[float]]:
    """The numbers in the groups of each match, each row once."""
    found = re.findall(pattern, text, re.MULTILINE)
    return [[float(x) for x in row] for row in dict.fromkeys(found)]
