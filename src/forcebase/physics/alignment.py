"""Two zeros of energy brought to one: codes, pseudopotentials and universal models differ in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.reference_energies import count_elements

ALL = "every atom"


class Align(StrEnum):
    """What is taken from the predicted energies before they are compared."""

    NONE = "none"
    MEAN = "mean"
    """One energy per atom, the same for all elements."""
    COMPOSITION = "composition"
    """One energy per atom of each element."""


@dataclass(frozen=True)
class Alignment:
    """What was fitted.

    Attributes:
        how: of which kind.
        shifts: element, or `ALL` -> eV per atom that were taken from the predictions.
        n_structures: that they were fitted to.
    """

    how: Align
    shifts: dict[str, float]
    n_structures: int

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, with the number of parameters."""
        return {
            "how": str(self.how),
            "n_parameters": len(self.shifts),
            "n_structures": self.n_structures,
            "shifts_eV_per_atom": self.shifts,
        }


def align(
    prediction: Frames, reference: Frames, how: Align
) -> tuple[NDArray[np.float64], Alignment]:
    """Shift predicted energies to where they are nearest to the references.

    The shifts are those of least squares in energies per atom, fitted to the very structures
    that are compared: with few of them, they take away a part of the error too.

    Args:
        prediction: labels, row for row of the same structures as `reference`.
        reference: what they are held to.
        how: MEAN or COMPOSITION; NONE shifts nothing.

    Returns:
        (n,) total energies, eV, and what was fitted.

    Raises:
        InputError: there are no more structures than parameters, or their compositions do not
            tell the elements apart.
    """
    known = np.isfinite(reference.energies) & np.isfinite(prediction.energies)
    if how is Align.NONE:
        return prediction.energies, Alignment(how, {}, int(known.sum()))
    names, counts = count_elements(reference.numbers, reference.owners, len(reference))
    if how is Align.MEAN:
        counts, names = counts.sum(axis=1, keepdims=True), [ALL]
    fractions = (counts / reference.n_atoms[:, None])[known]
    _require_enough(fractions, names)
    off = ((prediction.energies - reference.energies) / reference.n_atoms)[known]
    shifts = np.linalg.lstsq(fractions, off, rcond=None)[0]
    found = dict(zip(names, shifts.tolist(), strict=True))
    return prediction.energies - counts @ shifts, Alignment(how, found, len(off))


def _require_enough(fractions: NDArray[np.float64], names: list[str]) -> None:
    n_structures, n_parameters = fractions.shape
    if n_structures <= n_parameters:
        raise InputError(
            f"{n_structures} structures cannot tell {n_parameters} shifts of energy from errors.",
            hint="Compare on more structures, or with --align mean or none.",
        )
    if np.linalg.matrix_rank(fractions) < n_parameters:
        raise InputError(
            f"All structures have {', '.join(names)} in one ratio: their shifts of energy cannot "
            "be told apart.",
            hint="Add structures of another composition, as with a vacancy, or take --align mean.",
        )
