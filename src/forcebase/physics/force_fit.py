"""How well force constants give back the forces that they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.harmonic_crystal import HarmonicCrystal

POOR = 0.1
"""Of the forces; a residual above it is more than noise of the forces."""

LARGE = 0.05
"""angstrom; displacements of all atoms above it are not small ones: see what temperature tells."""


@dataclass(frozen=True)
class ForceFit:
    """Forces of displaced supercells, as they are and as the force constants give them.

    Attributes:
        is_random: whether all atoms were displaced at once.
        amplitude: angstrom, root mean square length of the displacements of displaced atoms.
        residual: eV/angstrom, root mean square of the components.
        relative: the same over that of the forces.
        n_supercells: displaced ones.
    """

    is_random: bool
    amplitude: float
    residual: float
    relative: float
    n_supercells: int

    def as_dict(self) -> dict[str, Any]:
        """For a record, units in the names."""
        return {
            "residual_eV_per_A": self.residual,
            "residual_relative": self.relative,
            "n_supercells": self.n_supercells,
        }

    def finding(self) -> str | None:
        """Say that the fit is poor; None where it is not."""
        if self.relative <= POOR:
            return None
        reason = (
            "they are those of this amplitude, and no others"
            if self.is_random
            else "look for magnetic moments that the file does not tell, and for forces at rest"
        )
        return (
            f"the force constants give the forces back to {100 * self.relative:.0f} % "
            f"({self.residual:.3g} eV/angstrom) at displacements of {self.amplitude:.3g} "
            f"angstrom: {reason}"
        )


def force_fit(crystal: HarmonicCrystal, dataset: Mapping[str, Any]) -> ForceFit | None:
    """Compare force constants with the forces of phonopy's `dataset`, eV and angstrom.

    None where it has no forces.
    """
    from phonopy.harmonic.force_constants import compact_fc_to_full_fc

    found = _displacements_and_forces(dataset, len(crystal.supercell_atoms))
    if found is None:
        return None
    shifts, forces, is_random = found
    full = compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants)
    matrix = full.transpose(0, 2, 1, 3).reshape(forces.shape[1] * 3, -1)
    given = -(shifts.reshape(len(shifts), -1) @ matrix.T)
    residual = float(np.sqrt(np.mean((given - forces.reshape(len(forces), -1)) ** 2)))
    size = float(np.sqrt(np.mean(forces**2)))
    lengths = np.linalg.norm(shifts, axis=2)
    return ForceFit(
        is_random=is_random,
        amplitude=float(np.sqrt(np.mean(lengths[lengths > 0] ** 2))) if lengths.any() else 0.0,
        residual=residual,
        relative=residual / size if size else 0.0,
        n_supercells=len(shifts),
    )


def _displacements_and_forces(
    dataset: Mapping[str, Any], n_atoms: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool] | None:
    """(m, n, 3) angstrom and eV/angstrom, and whether all atoms were displaced."""
    if "displacements" in dataset:
        if dataset.get("forces") is None:
            return None
        return np.array(dataset["displacements"]), np.array(dataset["forces"]), True
    rows = [row for row in dataset.get("first_atoms", ()) if "forces" in row]
    if not rows:
        return None
    shifts = np.zeros((len(rows), n_atoms, 3))
    for shift, row in zip(shifts, rows, strict=True):
        shift[row["number"]] = row["displacement"]
    return shifts, np.array([row["forces"] for row in rows]), False
