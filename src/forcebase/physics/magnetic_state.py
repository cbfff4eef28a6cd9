"""Magnetic states as classes: moments are continuous, orders are not.

A state is told by the pattern of the moments' signs, up to a flip of all of them, and by its total
moment. Moments below `SMALL` count as none; one up to twice that may be none elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALL = 0.25
"""muB; smaller moments are those that magnetic neighbours induce."""
SAME_TOTAL = 0.1
"""muB for each magnetic atom: totals of one state differ by less."""
ALIGNED = np.cos(np.pi / 4)

NONE, FERRO, ANTI, FERRI, NONCOLLINEAR = (
    "none",
    "ferromagnetic",
    "antiferromagnetic",
    "ferrimagnetic",
    "noncollinear",
)

ORDERS = (NONE, FERRO, ANTI, FERRI, NONCOLLINEAR)
NOT_POLARISED = {"order": NONE, "pattern": "", "total": 0.0, "n_magnetic": 0, "of": "no spin"}
"""Of a calculation without spin."""


def magnetic_state(moments: ArrayLike, total: float | None = None) -> dict[str, Any]:
    """Class of a set of moments.

    Args:
        moments: (n,) or, not collinear, (n, 3), muB.
        total: of the cell, muB, where it was told beside; the moments' sum otherwise.

    Returns:
        order, pattern (a sign for each atom, "0" for none, "x" for neither direction; the first
        one that is magnetic is "+"), total (muB), n_magnetic.
    """
    values = np.asarray(moments, dtype=float)
    pattern = _pattern(values)
    n_magnetic = len(pattern) - pattern.count("0")
    summed = abs(float(values.sum())) if values.ndim == 1 else np.linalg.norm(values.sum(axis=0))
    size = float(summed if total is None else abs(total))
    return {
        "order": _order(pattern, size, n_magnetic),
        "pattern": pattern,
        "total": round(size, 4),
        "n_magnetic": n_magnetic,
    }


def described(
    asked: ArrayLike | None, found: ArrayLike | None, total: float | None = None
) -> dict[str, Any]:
    """Describe a state as a calculation keeps it: its class, and the moments asked and found.

    Args:
        asked: (n,) or (n, 3) muB that the run began with; None where unknown.
        found: the same of its end.
        total: of the cell at its end, muB.

    Returns:
        {} where neither is known. `of` says whether the class is of the moments found, of those
        asked for, or of the total that was found: moments that began all along one direction and
        have no sum in the end are none.
    """
    known = found if found is not None else asked
    if known is None:
        return {}
    state = magnetic_state(known, total)
    of = "found" if found is not None else "asked"
    if found is None and total is not None and _vanished(state):
        state, of = magnetic_state(np.zeros(np.shape(known)), total), "total"
    return {
        **state,
        "of": of,
        **{
            name: np.round(np.asarray(value, dtype=float), 4).tolist()
            for name, value in (("asked_moments", asked), ("moments", found))
            if value is not None
        },
    }


def _vanished(state: Mapping[str, Any]) -> bool:
    """Whether moments that were asked for along one direction have no sum in the end."""
    return state["order"] == FERRO and float(state["total"]) < SAME_TOTAL


def left_order(state: Mapping[str, Any]) -> str | None:
    """Say that a run left the order that it began with; None where it did not, or is unknown."""
    if "moments" not in state or "asked_moments" not in state:
        return None
    asked = magnetic_state(state["asked_moments"])
    if asked["order"] == NONE or same_pattern(asked["pattern"], state["pattern"]):
        return None
    return (
        f"it was begun {asked['order']} ({_short(asked['pattern'])}) and ended {state['order']} "
        f"({_short(state['pattern'])}, {state['total']:g} muB)"
    )


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two states of one structure are one class; what was not recorded is like nothing."""
    if not one or not other or one.get("constrained_total") != other.get("constrained_total"):
        return False
    if not (same_pattern(one["pattern"], other["pattern"]) or _near_threshold(one, other)):
        return False
    n = max(one["n_magnetic"], other["n_magnetic"], 1)
    return bool(abs(one["total"] - other["total"]) <= SAME_TOTAL * n + 1e-9)


def _near_threshold(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether patterns differ only where a moment of one is just under what counts."""
    if len(one["pattern"]) != len(other["pattern"]) or not (
        one["n_magnetic"] and other["n_magnetic"]
    ):
        return False
    left, right = (np.asarray(s.get("moments", s.get("asked_moments", []))) for s in (one, other))
    if left.shape != right.shape or left.ndim != 1 or len(left) != len(one["pattern"]):
        return False
    flip = np.sign(left @ right) or 1.0
    unlike = np.sign(left) * flip != np.sign(right)
    size = np.maximum(np.abs(left), np.abs(right))
    counted = (np.abs(left) >= SMALL) != (np.abs(right) >= SMALL)
    return bool(
        not (unlike & (size >= SMALL) & ~counted).any() and (size[counted] < 2 * SMALL).all()
    )


def same_pattern(one: str, other: str) -> bool:
    """Whether two patterns are one, up to a flip of all signs."""
    return one == other


def _pattern(values: NDArray[np.float64]) -> str:
    if values.ndim == 1:
        large = np.abs(values) >= SMALL
        if not large.any():
            return "0" * len(values)
        signs = np.sign(values) * np.sign(values[np.argmax(large)])
        return "".join(
            "0" if not m else "+" if s > 0 else "-" for m, s in zip(large, signs, strict=True)
        )
    sizes = np.linalg.norm(values, axis=1)
    large = sizes >= SMALL
    if not large.any():
        return "0" * len(values)
    first = values[np.argmax(large)] / sizes[np.argmax(large)]
    along = values @ first / np.where(large, sizes, 1.0)
    return "".join(
        "0" if not m else "+" if a > ALIGNED else "-" if a < -ALIGNED else "x"
        for m, a in zip(large, along, strict=True)
    )


def _order(pattern: str, total: float, n_magnetic: int) -> str:
    if "x" in pattern:
        return NONCOLLINEAR
    if not n_magnetic:
        return NONE
    if "-" not in pattern:
        return FERRO
    return ANTI if total <= SAME_TOTAL * n_magnetic else FERRI


def _short(pattern: Sequence[str]) -> str:
    text = "".join(pattern)
    return text if len(text) <= 16 else f"{text[:16]}..."
