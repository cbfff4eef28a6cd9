"""What follows from a stored phonon: its crystal, and the spectra of two held side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.physics.band_path import BandPath, layer_path
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.periodicity import vacuum_axes
from forcebase.physics.vibrations import Bands, DensityOfStates, bands, density_of_states
from forcebase.records import Phonon

MESH_POINTS = 48
"""q-points along each periodic direction; the DOS is converged to its smearing."""

SMEARING = 0.05
"""THz, standard deviation of the DOS's Gaussians."""

MARGIN = 6 * SMEARING


@dataclass(frozen=True)
class Spectra:
    """Bands and DOS of a model and its reference, on the same q-points and frequencies."""

    path: BandPath
    mesh: tuple[int, int, int]
    model_bands: Bands
    reference_bands: Bands
    model_dos: DensityOfStates
    reference_dos: DensityOfStates


def crystal_of(db: Database, phonon: Phonon) -> HarmonicCrystal:
    """Rebuild the crystal of a stored phonon; its force constants are checked by digest."""
    structure = db.structures.get(phonon.structure)
    return HarmonicCrystal(
        numbers=structure.numbers,
        cell=structure.cell,
        positions=structure.positions,
        masses=phonon.masses,
        supercell_matrix=np.array(phonon.supercell_matrix, dtype=np.int64),
        primitive_matrix=np.array(phonon.primitive_matrix, dtype=float),
        force_constants=Blob(db.blobs.get(phonon.force_constants)).arrays()["force_constants"],
    )


def spectra_of(model: HarmonicCrystal, reference: HarmonicCrystal) -> Spectra:
    """Compute both sides' bands on the reference's path, and DOS on one mesh and grid."""
    vacuum = vacuum_axes(reference.cell, reference.positions)
    path = layer_path(reference.primitive_cell, vacuum)
    x, y, z = (1 if flag else MESH_POINTS for flag in vacuum)
    model_bands, reference_bands = bands(model, path), bands(reference, path)
    grid = _frequency_grid(model_bands, reference_bands)
    return Spectra(
        path=path,
        mesh=(x, y, z),
        model_bands=model_bands,
        reference_bands=reference_bands,
        model_dos=density_of_states(model, (x, y, z), frequencies=grid, sigma=SMEARING),
        reference_dos=density_of_states(reference, (x, y, z), frequencies=grid, sigma=SMEARING),
    )


def _frequency_grid(*sides: Bands) -> NDArray[np.float64]:
    low = min(side.frequencies.min() for side in sides) - MARGIN
    high = max(side.frequencies.max() for side in sides) + MARGIN
    return np.arange(low, high, SMEARING / 5)
