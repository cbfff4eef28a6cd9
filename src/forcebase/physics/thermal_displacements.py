"""Structures at a temperature: displacements of a harmonic crystal in thermal equilibrium.

White noise on every coordinate strains stiff bonds far more than temperature does. Displacements
drawn from force constants are where phonons and dynamics live.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from ase import Atoms
from monty.json import MSONable
from numpy.typing import ArrayLike

from forcebase.digest import structure_digest
from forcebase.errors import InputError
from forcebase.outputs import StructureOrigin
from forcebase.physics.harmonic_crystal import HarmonicCrystal, as_atoms
from forcebase.physics.periodicity import vacuum_axes
from forcebase.physics.sampling import SampledStructure

CUTOFF_FREQUENCY = 0.01
"""THz; modes below it (the translations) are not displaced. phonopy's own default."""

IMAGINARY = 0.05
"""THz; a frequency further below zero is an instability, not noise of the force constants."""


@dataclass(frozen=True)
class ThermalDraws(MSONable):
    """Which displaced structures to draw.

    A draw depends on the seed, its temperature and its number alone.

    Attributes:
        kind: of the structures, before their temperature: "pristine-2x2" gives
            "pristine-2x2-300K".
        temperatures: K.
        count: draws at each temperature.
        supercell_matrix: (3, 3) integers, phonopy's; None for that of the force constants.
        strain: largest component of a symmetric strain along the periodic directions, drawn
            uniformly; the displaced structure is deformed with its atoms.
        statistics: of the oscillators: classical, as in molecular dynamics, or quantum.
        seed: of all draws.
    """

    kind: str
    temperatures: tuple[float, ...]
    count: int
    supercell_matrix: tuple[tuple[int, int, int], ...] | None = None
    strain: float = 0.0
    statistics: Literal["classical", "quantum"] = "classical"
    seed: int = 0

    def __post_init__(self) -> None:
        if not all(0 < t < float("inf") for t in self.temperatures) or not self.temperatures:
            raise InputError(f"Temperatures must be above 0 K: {self.temperatures}.")
        if self.count < 1:
            raise InputError(f"count is {self.count}: at least one draw is needed.")


def draw_thermal(
    crystal: HarmonicCrystal, draws: ThermalDraws, phonon: str | None = None
) -> list[SampledStructure]:
    """Draw displaced supercells of a crystal; the same draws give the same structures.

    Modes at the commensurate points of the supercell are displaced independently, each with the
    variance of a harmonic oscillator: kT / omega^2 (classical) or hbar (n + 1/2) / omega
    (quantum), of the mass-weighted coordinate (phonopy's `RandomDisplacements`; imaginary modes
    are taken with the absolute value of their frequency).

    Args:
        crystal: at rest; its force constants.
        draws: what to draw.
        phonon: id of the phonon record the crystal is from, for the recipe.

    Raises:
        InputError: the force constants are unstable, so that there is no equilibrium.
    """
    # at the commensurate points the non-analytical term changes nothing
    phonopy = replace(crystal, response=None).to_phonopy()
    if draws.supercell_matrix is not None:
        phonopy = phonopy.ph2ph(np.array(draws.supercell_matrix, dtype=np.int64))
    phonopy.init_random_displacements(dist_func=draws.statistics, cutoff_frequency=CUTOFF_FREQUENCY)
    _check_stable(phonopy.random_displacements.frequencies)
    at_rest = as_atoms(phonopy.supercell)
    unit_cell = crystal.unit_cell
    parent = _digest(unit_cell)
    made = []
    for temperature in draws.temperatures:
        for number in range(draws.count):
            random = np.random.default_rng([draws.seed, round(temperature * 1000), number])
            seed = int(random.integers(2**31))
            atoms = at_rest.copy()
            atoms.positions += phonopy.get_random_displacements_at_temperature(
                temperature, 1, random_seed=seed
            )[0]
            strain = _strain(at_rest, draws.strain, random)
            atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            recipe = StructureOrigin(
                operation="supercell+thermal+strain" if draws.strain else "supercell+thermal",
                parameters=_parameters(phonopy, draws, temperature, strain, phonon),
                seed=seed,
                parent=parent,
            )
            kind = f"{draws.kind}-{temperature:g}K"
            made.append(SampledStructure(atoms, kind, recipe, family=_digest(atoms)))
    return made


def _parameters(
    phonopy: Any,
    draws: ThermalDraws,
    temperature: float,
    strain: ArrayLike,
    phonon: str | None,
) -> dict[str, Any]:
    return {
        "temperature_K": float(temperature),
        "statistics": draws.statistics,
        "cutoff_frequency_THz": CUTOFF_FREQUENCY,
        "supercell_matrix": np.asarray(phonopy.supercell_matrix).tolist(),
        "strain": np.asarray(strain).tolist(),
        "phonon": phonon,
    }


def _check_stable(frequencies: np.ndarray) -> None:
    if frequencies.min() < -IMAGINARY:
        raise InputError(
            f"The crystal is unstable: {-frequencies.min():.2f}i THz at a commensurate point.",
            hint="Draw from the force constants of a stable structure, or in another supercell.",
        )


def _strain(atoms: Atoms, largest: float, random: np.random.Generator) -> np.ndarray:
    """A symmetric strain, none of it along a direction that crosses vacuum."""
    drawn = np.triu(random.uniform(-largest, largest, (3, 3)))
    symmetric = (drawn + drawn.T) / 2  # off the diagonal half, which is the same engineering shear
    cell = atoms.cell.array
    crossing = vacuum_axes(cell, atoms.positions, atoms.pbc)
    periodic = np.eye(3)
    for vector, is_vacuum in zip(np.linalg.inv(cell).T, crossing, strict=True):
        if is_vacuum:
            normal = vector / np.linalg.norm(vector)
            periodic -= np.outer(normal, normal)
    return periodic @ symmetric @ periodic


def _digest(atoms: Atoms) -> str:
    return structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)
