"""Localised modes: how few sites a mode lives on, and how much of it is near a defect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.physics.local_dos import DIRECTIONS, SiteGroups, site_shares
from forcebase.units import THZ_TO_CM1

ENRICHMENT = 2.0
"""A mode belongs to the defect when the innermost shell holds so many times its fair share."""

MIN_WEIGHT = 0.1
"""And at least this much of the mode."""

DEGENERATE = 1e-4
"""THz; modes nearer than this are one level, whose vectors may be mixed at will."""


@dataclass(frozen=True)
class LocalisedMode:
    """A mode with more than its share near the defect.

    Attributes:
        index: of the mode, from the lowest frequency.
        frequency: THz; negative if imaginary.
        participation: sites that the mode lives on, 1 / inverse participation ratio.
        weights: share of the mode in each shell; the sum is 1.
        enrichment: the innermost shell's weight over its fair share: that of a mode with the
            same part of each species, spread evenly over all sites of the species.
        species: species name -> share of the mode.
        out_of_plane: share along the axis.
        degeneracy: modes at this frequency, this one counted; weights are their mean.
    """

    index: int
    frequency: float
    participation: float
    weights: tuple[float, ...]
    enrichment: float
    species: dict[str, float]
    out_of_plane: float
    degeneracy: int

    @property
    def character(self) -> str:
        """In words, as "W in-plane": the species and direction that have most of it."""
        main = max(self.species, key=lambda name: self.species[name])
        return f"{main} {DIRECTIONS[int(self.out_of_plane > 0.5)]}"

    def as_dict(self) -> dict[str, Any]:
        """For a table or JSON, units in the names."""
        return {
            "index": self.index,
            "frequency_THz": self.frequency,
            "frequency_cm1": self.frequency * THZ_TO_CM1,
            "participating_sites": self.participation,
            "shell_weights": list(self.weights),
            "enrichment": self.enrichment,
            "species": self.species,
            "out_of_plane": self.out_of_plane,
            "degeneracy": self.degeneracy,
            "character": self.character,
        }


def inverse_participation_ratio(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_modes,) sum of squares of the sites' shares.

    1 for a mode of one site, 1 / n for one spread evenly over n sites: Bell and Dean, Discuss.
    Faraday Soc. 50, 55 (1970).

    Args:
        shares: (n_sites, n_modes), each mode's adding up to 1.
    """
    return (shares**2).sum(axis=0)


def shell_weights(shares: NDArray[np.float64], groups: SiteGroups) -> NDArray[np.float64]:
    """(n_shells, n_modes) share of each mode in each shell, from (n_sites, n_modes) shares."""
    return np.array([shares[mask].sum(axis=0) for mask in groups.by_shell().values()])


def localised_modes(
    frequencies: NDArray[np.float64],
    eigenvectors: NDArray,
    groups: SiteGroups,
    normal: NDArray[np.float64],
) -> list[LocalisedMode]:
    """List the modes that belong to the defect, by rising frequency; one for each level.

    Args:
        frequencies: (n_modes,) THz, rising, at one q-point (Gamma of the supercell).
        eigenvectors: (n_sites, 3, n_modes).
        groups: of the sites, around the defect.
        normal: (3,) unit vector that "out-of-plane" is along.
    """
    directed = site_shares(eigenvectors, normal)
    masks = groups.by_species()
    near = {name: float((groups.shell[mask] == 0).mean()) for name, mask in masks.items()}
    found = []
    for level in _levels(frequencies):
        shares = directed[:, :, level].mean(axis=2)
        sites = shares.sum(axis=1)
        weights = shell_weights(sites[:, None], groups)[:, 0]
        species = {name: float(sites[mask].sum()) for name, mask in masks.items()}
        fair = sum(part * near[name] for name, part in species.items())
        enrichment = float(weights[0] / max(fair, 1e-12))
        if enrichment < ENRICHMENT or weights[0] < MIN_WEIGHT:
            continue
        found.append(
            LocalisedMode(
                index=int(level[0]),
                frequency=float(frequencies[level].mean()),
                participation=float(1 / inverse_participation_ratio(sites[:, None])[0]),
                weights=tuple(float(w) for w in weights),
                enrichment=enrichment,
                species=species,
                out_of_plane=float(shares[:, 1].sum()),
                degeneracy=len(level),
            )
        )
    return found


def _levels(frequencies: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Mode numbers of each level: of modes with equal frequencies."""
    starts = np.flatnonzero(np.diff(frequencies) > DEGENERATE) + 1
    return np.split(np.arange(len(frequencies)), starts)
