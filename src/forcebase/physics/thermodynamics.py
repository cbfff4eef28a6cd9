"""Free energy, entropy and heat capacity of a crystal compared with those of another, per atom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.vibrations import thermal_properties

ROOM = 300.0
"""K."""

EV_TO_MEV = 1000.0


@dataclass(frozen=True)
class Thermodynamics:
    """Harmonic, at one temperature and constant volume.

    Attributes:
        free_energy: Helmholtz, zero-point energy included, meV/atom.
        entropy: J/K per mol of atoms.
        heat_capacity: J/K per mol of atoms.
        imaginary_share: of all modes, the share that is imaginary and left out of the sums.
    """

    free_energy: float
    entropy: float
    heat_capacity: float
    imaginary_share: float


@dataclass(frozen=True)
class ThermodynamicErrors:
    """Both sides; errors are the crystal's minus the reference's.

    Attributes:
        temperature: K.
        crystal: the one that is judged.
        reference: what it is compared with.
    """

    temperature: float
    crystal: Thermodynamics
    reference: Thermodynamics

    def as_dict(self) -> dict[str, Any]:
        """Metrics for a record, units in the names, all per atom."""
        ours, theirs = self.crystal, self.reference
        return {
            "temperature_K": self.temperature,
            "free_energy_error_meV_per_atom": ours.free_energy - theirs.free_energy,
            "free_energy_reference_meV_per_atom": theirs.free_energy,
            "entropy_error_J_per_K_mol": ours.entropy - theirs.entropy,
            "entropy_reference_J_per_K_mol": theirs.entropy,
            "heat_capacity_error_J_per_K_mol": ours.heat_capacity - theirs.heat_capacity,
            "heat_capacity_reference_J_per_K_mol": theirs.heat_capacity,
            "imaginary_share": ours.imaginary_share,
            "imaginary_share_reference": theirs.imaginary_share,
        }


def thermodynamics(
    crystal: HarmonicCrystal, mesh: Sequence[int], temperature: float = ROOM
) -> Thermodynamics:
    """Sum over the modes of a Gamma-centred mesh (3,), at `temperature`, K."""
    found = thermal_properties(crystal, [temperature], mesh)
    n = len(crystal.primitive_atoms)
    return Thermodynamics(
        free_energy=float(found.free_energy[0]) * EV_TO_MEV / n,
        entropy=float(found.entropy[0]) / n,
        heat_capacity=float(found.heat_capacity[0]) / n,
        imaginary_share=found.imaginary_share,
    )


def compare_thermodynamics(
    crystal: HarmonicCrystal,
    reference: HarmonicCrystal,
    mesh: Sequence[int],
    temperature: float = ROOM,
) -> ThermodynamicErrors:
    """Compare `crystal` with `reference`, both on one mesh (3,) and at `temperature`, K."""
    return ThermodynamicErrors(
        temperature=temperature,
        crystal=thermodynamics(crystal, mesh, temperature),
        reference=thermodynamics(reference, mesh, temperature),
    )
