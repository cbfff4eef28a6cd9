"""Comparison of two calculations of one defect: local densities of states and localised modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forcebase.errors import InputError
from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.phonon_comparison import SpectrumErrors, spectrum_errors
from forcebase.units import THZ_TO_CM1


@dataclass(frozen=True, eq=False)
class DefectErrors:
    """How far a model's defect spectra are from a reference's.

    Attributes:
        gamma_mae: mean absolute error of the frequencies at Gamma in their order, THz.
        gamma_max: the largest.
        total: of the density of states of the whole cell.
        shells: shell label -> of its local density of states; shells without sites are left out.
        modes: localised levels of the reference: (its frequency, the nearest of the model's
            localised levels of the same character or None), THz.
    """

    gamma_mae: float
    gamma_max: float
    total: SpectrumErrors
    shells: dict[str, SpectrumErrors]
    modes: tuple[tuple[float, float | None], ...]

    def as_dict(self) -> dict[str, Any]:
        """Metrics with units in the names, without arrays."""
        return {
            "gamma_mae_THz": self.gamma_mae,
            "gamma_mae_cm1": self.gamma_mae * THZ_TO_CM1,
            "gamma_max_THz": self.gamma_max,
            "dos_wasserstein_THz": self.total.wasserstein,
            "shells_wasserstein_THz": {name: e.wasserstein for name, e in self.shells.items()},
            "shells_misplaced": {name: e.misplaced for name, e in self.shells.items()},
            "localised_THz": [list(pair) for pair in self.modes],
        }


def compare_defect_spectra(model: DefectSpectra, reference: DefectSpectra) -> DefectErrors:
    """Compare the spectra of a defect with a reference's of the same defect and supercell.

    Raises:
        InputError: unlike cells or shells.
    """
    same_atoms = sorted(model.atoms.numbers) == sorted(reference.atoms.numbers)
    if not same_atoms or model.groups.shells != reference.groups.shells:
        raise InputError(
            f"The spectra of {model.atoms.get_chemical_formula()} cannot be compared with those of "
            f"{reference.atoms.get_chemical_formula()} with other cells or shells."
        )
    low = min(model.dos.frequencies[0], reference.dos.frequencies[0])
    high = max(model.dos.frequencies[-1], reference.dos.frequencies[-1])
    n_points = len(model.dos.frequencies) + len(reference.dos.frequencies)
    grid = np.linspace(low, high, n_points)
    ours, theirs = model.dos.on(grid), reference.dos.on(grid)
    masks = reference.groups.by_shell()
    shells = {
        name: spectrum_errors(grid, ours.of(mask), theirs.of(masks[name]))
        for name, mask in model.groups.by_shell().items()
        if mask.any() and mask.sum() == masks[name].sum()
    }
    errors = np.abs(model.gamma.frequencies - reference.gamma.frequencies)
    return DefectErrors(
        gamma_mae=float(errors.mean()),
        gamma_max=float(errors.max()),
        total=spectrum_errors(grid, ours.total, theirs.total),
        shells=shells,
        modes=tuple(_matched(model, reference)),
    )


def _matched(model: DefectSpectra, reference: DefectSpectra) -> list[tuple[float, float | None]]:
    found = []
    for level in reference.localised:
        alike = [m.frequency for m in model.localised if m.character == level.character]
        nearest = min(alike, key=lambda f: abs(f - level.frequency)) if alike else None
        found.append((level.frequency, nearest))
    return found
