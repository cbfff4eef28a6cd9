"""Units of phonopy's files: what each calculator's interface writes, in eV and angstrom."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forcebase.errors import InputError

if TYPE_CHECKING:
    from phonopy.structure.atoms import PhonopyAtoms

CALCULATORS = (
    "vasp",
    "wien2k",
    "abinit",
    "exciting",
    "elk",
    "qe",
    "siesta",
    "crystal",
    "dftbp",
    "turbomole",
    "cp2k",
    "aims",
    "castep",
    "fleur",
    "abacus",
    "lammps",
    "qlm",
    "pwmat",
    "octopus",
)
"""Interfaces of phonopy whose units it knows."""


@dataclass(frozen=True)
class PhonopyUnits:
    """What one unit of a file is in eV and angstrom; phonopy's own factors.

    Attributes:
        calculator: the interface; None for phonopy's default, which is eV and angstrom.
        length: angstrom.
        force: eV/angstrom.
        energy: eV.
        force_constants: eV/angstrom^2.
    """

    calculator: str | None
    length: float
    force: float
    energy: float
    force_constants: float

    @classmethod
    def of(cls, calculator: str | None) -> PhonopyUnits:
        """Units of phonopy's interface to a calculator.

        Raises:
            InputError: phonopy has no such interface.
        """
        from phonopy.interface.calculator import get_force_constant_conversion_factor
        from phonopy.physical_units import get_calculator_physical_units

        try:
            found = get_calculator_physical_units(calculator)
        except ValueError:
            raise InputError(
                f"phonopy has no interface to {calculator!r}, so its units are not known.",
                hint=f"It knows {', '.join(CALCULATORS)}.",
            ) from None
        return cls(
            calculator=calculator,
            length=found.distance_to_A,
            force=found.force_to_eVperA,
            energy=found.energy_to_eV,
            force_constants=1 / get_force_constant_conversion_factor("eV/angstrom^2", calculator),
        )

    def cell(self, cell: PhonopyAtoms) -> PhonopyAtoms:
        """A cell of the file in angstrom; fractional places and moments stay."""
        scaled = cell.copy()
        scaled.cell = np.array(cell.cell, dtype=float) * self.length
        return scaled

    def dataset(self, dataset: Any) -> Any:
        """Displacements, forces and energies of the file in angstrom and eV."""
        found = deepcopy(dict(dataset))
        for holder in (found, *found.get("first_atoms", ())):
            for names, factor in (
                (("displacement", "displacements"), self.length),
                (("forces",), self.force),
                (("supercell_energy", "supercell_energies"), self.energy),
            ):
                for name in names:
                    if holder.get(name) is not None:
                        holder[name] = np.array(holder[name], dtype=float) * factor
        return found

    def response(self, given: Any) -> dict[str, Any]:
        """phonopy's `nac_params` of the file, its factor in eV angstrom."""
        found = dict(given)
        powers = {
            "factor": self.force_constants * self.length**3,
            "G_cutoff": 1 / self.length,
            "Lambda": 1 / self.length,
        }
        return found | {name: found[name] * by for name, by in powers.items() if name in found}


def calculator_of_units(said: dict[str, Any]) -> str | None:
    """A calculator whose units are those that a file says without naming one.

    Args:
        said: the file's `physical_unit`, as length "au" and force "Ry/au".

    Returns:
        None where no interface of phonopy has these units; for eV and angstrom "vasp".
    """
    from phonopy.physical_units import get_calculator_physical_units

    names = {key: f"{key}_unit" for key in ("length", "force", "force_constants") if key in said}
    for calculator in CALCULATORS:
        units = get_calculator_physical_units(calculator)
        if names and all(getattr(units, name) == said[key] for key, name in names.items()):
            return calculator
    return None
