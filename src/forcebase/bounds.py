"""Numbers that a user sets: each field's range, and one sentence where a value is out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forcebase.errors import InputError


@dataclass(frozen=True)
class Bounds:
    """From where to where a number may lie, both ends included.

    Attributes:
        low: the least value; not itself allowed where `above` is set.
        high: the largest.
        above: the value must be larger than `low`.
        whole: only whole numbers.
    """

    low: float
    high: float
    above: bool = False
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a value is a number in the range; NaN and truth values are none."""
        kinds = (int,) if self.whole else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or math.isnan(value):
            return False
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        start = f"above {self.low:,g}" if self.above else f"from {_said(self.low)}"
        return f"{kind} {start} {'and at most' if self.above else 'to'} {_said(self.high)}"


SEED = Bounds(0, 2**32 - 1, whole=True)
"""What random generators of all libraries take."""


def check_bounds(settings: Any, bounds: Mapping[str, Bounds], called: str = "") -> None:
    """Check fields of a settings object; None passes.

    Args:
        settings: the object.
        bounds: field name -> range.
        called: what people call the object; its class by default.

    Raises:
        InputError: names the first field that is out of its range, and the range.
    """
    for name, allowed in bounds.items():
        value = getattr(settings, name)
        if value is not None and not allowed.holds(value):
            raise InputError(
                f"{name} of {called or type(settings).__name__} cannot be {value!r}.",
                hint=f"It is {allowed}.",
            )


def check_choice(settings: Any, name: str, choices: tuple[str, ...]) -> None:
    """Check that a field is one of several words; None passes.

    Raises:
        InputError: names the field, and the words.
    """
    value = getattr(settings, name)
    if value is not None and value not in choices:
        raise InputError(
            f"{name} of {type(settings).__name__} cannot be {value!r}.",
            hint=f"It is one of {', '.join(choices)}.",
        )


def _said(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
