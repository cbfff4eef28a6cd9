"""The flexural (ZA) branch of a layer: how its frequency grows from Gamma.

A free sheet bends without stretching, so its frequency goes with the square of the wave vector;
Lifshitz, Zh. Eksp. Teor. Fiz. 22, 475 (1952). Force constants that break rotational invariance
make it linear, a layer under tension too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.local_dos import layer_normal, site_shares
from forcebase.physics.mesh_modes import solve
from forcebase.physics.periodicity import vacuum_axes

RANGE = (0.03, 0.12)
"""1/angstrom; beyond the rounding of an acoustic mode, before the branch bends over."""

ROUNDING = 1e-4
"""THz; a frequency below this is no more than the rounding of an acoustic mode."""


@dataclass(frozen=True, eq=False)
class FlexuralBranch:
    """The lowest out-of-plane branch near Gamma.

    Attributes:
        wave_numbers: (n,) 1/angstrom, with the factor 2 pi.
        frequencies: (n,) THz.
        exponent: slope of log frequency over log wave number; 2 for a free sheet.
    """

    wave_numbers: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    exponent: float


def flexural_branch(
    crystal: HarmonicCrystal,
    direction: ArrayLike = (1.0, 0.0, 0.0),
    wave_numbers: tuple[float, float] = RANGE,
    n_points: int = 10,
) -> FlexuralBranch:
    """Follow the ZA branch from Gamma and fit its exponent.

    Args:
        crystal: a layer; its primitive cell should be small, or the branch is folded.
        direction: (3,) of the wave vector, fractional, of the reciprocal primitive lattice.
        wave_numbers: from, to, 1/angstrom.
        n_points: on that way, evenly in the logarithm.

    Raises:
        InputError: not a layer, or the branch is imaginary there.
    """
    atoms = crystal.primitive_atoms
    if sum(vacuum_axes(atoms.cell.array, atoms.positions)) != 1:
        raise InputError("Only a layer has a flexural branch.")
    reciprocal = 2 * np.pi * np.linalg.inv(crystal.primitive_cell).T
    unit = np.asarray(direction, dtype=float)
    unit = unit / np.linalg.norm(unit @ reciprocal)
    lengths = np.geomspace(*wave_numbers, n_points)
    normal = layer_normal(atoms)
    found = []
    for modes in solve(crystal, lengths[:, None] * unit):
        along = site_shares(modes.eigenvectors, normal)[:, 1].sum(axis=0)
        found.append(modes.frequencies[int(np.flatnonzero(along > 0.5)[0])])
    frequencies = np.array(found)
    if frequencies.min() < ROUNDING:
        raise InputError(
            f"The flexural branch is at {frequencies.min():.3f} THz near Gamma: there is no power "
            "law to fit.",
            hint="A layer under pressure buckles: relax its cell.",
        )
    exponent = float(np.polyfit(np.log(lengths), np.log(frequencies), 1)[0])
    return FlexuralBranch(lengths, frequencies, exponent)
