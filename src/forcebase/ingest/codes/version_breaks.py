"""Versions of codes between which the same input is known to give other labels.

Elsewhere a code's version stands with the calculation and tells no methods apart: data sets of VASP
5.4.4 and 6 are one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Break:
    """A version from which on a code gives other labels.

    Attributes:
        code: its name in records.
        since: first version with the new labels.
        reason: what changed.
    """

    code: str
    since: tuple[int, ...]
    reason: str


BREAKS = (
    Break(
        "vasp", (5,), "PREC is Medium before, Normal since; other grids for augmentation charges"
    ),
    Break("gpaw", (1,), "other PAW data sets and filters before"),
    Break("quantum espresso", (5,), "other q-grids of ultrasoft augmentation charges before"),
)


def era(code: str, version: str) -> dict[str, str]:
    """Give a setting for a method whose code is of before a break; nothing for all others."""
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:3])
    past = [b.since for b in BREAKS if b.code == code and numbers and numbers < b.since]
    if not past:
        return {}
    return {"code_version": f"before {'.'.join(map(str, min(past)))}"}
