"""The digest by which a dataset of the same recipe is found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forcebase.digest import content_digest


def recipe_digest(
    steps: Sequence[Mapping[str, Any]],
    fractions: Sequence[float],
    seed: int,
    e0s: Mapping[str, float] | None,
    e0s_method: str | None = None,
) -> str:
    """Digest of what a curation does; its name, its candidates and its license are no part of it.

    Args:
        steps: name and parameters of each.
        fractions: shares of train, valid and test.
        seed: of the split.
        e0s: given ones, or None.
        e0s_method: the method that given ones are of, where that was said.
    """
    described = {
        "steps": [dict(step) for step in steps],
        "fractions": list(fractions),
        "seed": seed,
        "e0s": None if e0s is None else dict(e0s),
    }
    return content_digest(described | ({"e0s_method": e0s_method} if e0s_method else {}))
