"""Two zeros of energy brought to one: codes, pseudopotentials and universal models differ in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError

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
    prediction: NDArray[np.float64],
    reference: NDArray[np.float64],
    counts: NDArray[np.float64],
    elements: Sequence[str],
    how: Align,
) -> tuple[NDArray[np.float64], Alignment]:
    """Shift predicted energies to where they are nearest to the references.

    The shifts are those of least squares in energies per atom, fitted to the very structures
    that are compared: with few of them, they take away a part of the error too.

    Args:
        prediction: (n,) total energies, eV.
        reference: (n,) what they are compared with; NaN where unknown.
        counts: (n, k) atoms of each element in each structure.
        elements: the k symbols.
        how: MEAN or COMPOSITION; NONE shifts nothing.

    Returns:
        (n,) total energies, eV, and what was fitted.

    Raises:
        InputError: there are no more structures than parameters, or their compositions do not
            tell the elements apart.
    """
    known = np.isfinite(reference) & np.isfinite(prediction)
    if how is Align.NONE:
        return prediction, Alignment(how, {}, int(known.sum()))
    n_atoms = counts.sum(axis=1)
    names = list(elements)
    if how is Align.MEAN:
        counts, names = n_atoms[:, None], [ALL]
    fractions = (counts / n_atoms[:, None])[known]
    _require_enough(fractions, names)
    off = ((prediction - reference) / n_atoms)[known]
    shifts = np.linalg.lstsq(fractions, off, rcond=None)[0]
    found = dict(zip(names, shifts.tolist(), strict=True))
    return prediction - counts @ shifts, Alignment(how, found, len(off))


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
