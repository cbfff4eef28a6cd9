"""Spectra of a model and its reference, on the same q-points and frequencies."""

from __future__ import annotations

from dataclasses import dataclass

from forcebase.physics.band_path import BandPath, band_path
from forcebase.physics.crystal_setting import in_one_setting
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes
from forcebase.physics.polar_splitting import Nac, Splitting, with_splitting
from forcebase.physics.vibrations import (
    Bands,
    DensityOfStates,
    bands,
    density_of_states,
    frequency_grid,
)

Q_SPACING = 0.05
"""1/angstrom, between q-points of the DOS; large cells need few of them."""

Q_SPACING_BULK = 0.15
"""1/angstrom, where there is no vacuum: three dimensions have points enough."""


@dataclass(frozen=True)
class Spectra:
    """Bands and DOS of a model and its reference, on the same q-points and frequencies.

    Attributes:
        model: the model's crystal in the setting of the reference's.
        reference: the reference's, its unit cell a primitive one.
        path: q-points of the bands.
        mesh: q-points of the DOS.
        model_bands: along the path.
        reference_bands: along the path.
        model_dos: on the mesh.
        reference_dos: on the mesh.
        splitting: whose Born charges are in all of these.
    """

    model: HarmonicCrystal
    reference: HarmonicCrystal
    path: BandPath
    mesh: tuple[int, int, int]
    model_bands: Bands
    reference_bands: Bands
    model_dos: DensityOfStates
    reference_dos: DensityOfStates
    splitting: Splitting


def spectra_of(
    model: HarmonicCrystal, reference: HarmonicCrystal, nac: Nac = Nac.REFERENCE
) -> Spectra:
    """Compute both sides' bands on the reference's path, and DOS on one mesh and grid.

    The two may differ in orientation, lattice vectors, origin and order of atoms. `nac` says
    whose Born charges both have in three dimensions.

    Raises:
        InputError: they are not of one structure.
    """
    model, reference, splitting = with_splitting(*in_one_setting(model, reference), nac)
    vacuum = vacuum_axes(reference.cell, reference.positions)
    path = band_path(
        reference.cell,
        vacuum,
        polar=splitting.applied is not Nac.NONE,
    )
    mesh = kpoint_mesh(reference.cell, Q_SPACING if any(vacuum) else Q_SPACING_BULK, vacuum)
    grid = frequency_grid([model, reference], mesh)
    return Spectra(
        model=model,
        reference=reference,
        path=path,
        mesh=mesh,
        model_bands=bands(model, path),
        reference_bands=bands(reference, path),
        model_dos=density_of_states(model, mesh, frequencies=grid),
        reference_dos=density_of_states(reference, mesh, frequencies=grid),
        splitting=splitting,
    )
