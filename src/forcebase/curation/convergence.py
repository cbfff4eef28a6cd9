"""Leaving out calculations that did not converge, as a step that names each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forcebase.curation.steps import Dropped, Step
from forcebase.frames import Frames


@dataclass(frozen=True)
class Converged(Step):
    """Keep calculations that converged.

    Without this step, those that did not are not candidates, by the filter `converged`.

    Attributes:
        unconverged: calculation ids; found in the database when a dataset is built.
    """

    name: ClassVar[str] = "converged"
    unconverged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "unconverged", tuple(sorted(self.unconverged)))

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop the unconverged."""
        wrong = kept & np.isin(frames.ids, self.unconverged)
        return [(int(i), "not converged, as its code says") for i in np.flatnonzero(wrong)]
