"""What a comparison of labels says: errors of energy, forces and stress, by kind and by family."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from forcebase.physics.alignment import Alignment
from forcebase.physics.bootstrap import ErrorIntervals
from forcebase.physics.error_tally import ErrorSummary
from forcebase.physics.family_errors import FamilyErrors


@dataclass(frozen=True)
class LabelErrors:
    """Errors over a set of structures; None where the references have no such label.

    Attributes:
        n_structures: structures compared.
        n_atoms: atoms compared.
        energy: total energy per atom, meV/atom.
        energy_aligned: the same after the best shift per element, for labels whose zeros of
            energy differ (another code, a universal model); None where there are no more
            structures than elements to tell a shift from an error.
        forces: Cartesian components, meV/A.
        forces_by_element: element symbol -> the same for its atoms.
        stress: the six Voigt components, meV/A^3.
        intervals: energy, forces and stress -> intervals of 95 % of MAE and RMSE, families of
            structures resampled as wholes; none for what has too few families.
    """

    n_structures: int
    n_atoms: int
    energy: ErrorSummary | None
    energy_aligned: ErrorSummary | None
    forces: ErrorSummary | None
    forces_by_element: dict[str, ErrorSummary]
    stress: ErrorSummary | None
    intervals: dict[str, ErrorIntervals]


@dataclass(frozen=True)
class FrameErrors:
    """Errors over all structures, by configuration kind and by family.

    Attributes:
        overall: of all structures.
        by_kind: configuration kind -> of its structures.
        n_families: among the structures.
        worst_families: those with the largest RMSE of forces, `MOST_FAMILIES` at most, worst first.
        alignment: what was taken from the predicted energies.
    """

    overall: LabelErrors
    by_kind: dict[str, LabelErrors]
    n_families: int
    worst_families: list[FamilyErrors]
    alignment: Alignment

    def as_dict(self) -> dict[str, Any]:
        """Give plain dicts, numbers and None, as JSON and MongoDB take them."""
        found = asdict(self)
        del found["alignment"]
        return found | ({"alignment": self.alignment.as_dict()} if self.alignment.shifts else {})
