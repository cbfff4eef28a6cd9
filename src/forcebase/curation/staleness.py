"""Leaving out records that are not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from forcebase.curation.steps import Dropped, Step
from forcebase.frames import Frames


@dataclass(frozen=True)
class NotStale(Step):
    """Keep records of which nobody has said that they, or what they were made from, are bad.

    It belongs before all steps that look at what is usual: bad labels must not decide that.

    Attributes:
        reasons: calculation id -> why it is stale.
    """

    name: ClassVar[str] = "not-stale"
    reasons: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """Give the records that were stale; the reasons stand with those that were dropped."""
        return {"stale": sorted(self.reasons)}

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop stale records, each with its reason."""
        stale = np.isin(frames.ids, sorted(self.reasons))
        return [(int(i), self.reasons[str(frames.ids[i])]) for i in np.flatnonzero(kept & stale)]
