"""Which energy an energy is: codes with smearing give two, and forces derive from one of them."""

from __future__ import annotations

from enum import StrEnum

ALIKE = 1e-9
"""eV; two energies that differ by less are one."""


class EnergyKind(StrEnum):
    """Of an energy at a finite width of smearing."""

    FREE = "free"
    """E - TS of the electrons, of which forces and stresses are derivatives."""
    EXTRAPOLATED = "extrapolated"
    """To zero width, (E + F) / 2 or alike: nearer to the ground state, unlike the forces."""


def told_apart(
    energy: float | None, free_energy: float | None
) -> tuple[float, EnergyKind | None, float | None]:
    """Give (energy, its kind, the free energy where it is another) from what a source holds.

    Args:
        energy: eV; None where only a free energy is told.
        free_energy: eV; None where none is told: then the kind is not known.
    """
    if energy is None:
        if free_energy is None:
            raise ValueError("neither an energy nor a free energy")
        return free_energy, EnergyKind.FREE, None
    if free_energy is None:
        return energy, None, None
    if abs(energy - free_energy) <= ALIKE:
        return energy, EnergyKind.FREE, None
    return energy, EnergyKind.EXTRAPOLATED, free_energy
