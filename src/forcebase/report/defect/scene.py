"""The atoms around a defect and how a mode moves them, ready to be drawn from any side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import KDTree

from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.local_dos import layer_normal
from forcebase.physics.localisation import LocalisedMode
from forcebase.physics.shells import vectors_from

Array = NDArray[np.float64]

BOND = 1.2
"""Atoms are bonded up to so many times the distance to the nearest neighbour of either."""

OFF = 0.5
"""angstrom from the defect, or from its axis, from which on an atom is beside it."""

MARGIN = 3.5
"""angstrom of atoms beyond the picture, so that its edge cuts bonds."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Atoms around a defect, in a frame of axes (across, along, up) with the defect at zero.

    Attributes:
        positions: (n, 3) angstrom; periodic images are atoms of their own.
        displacements: (n, 3), the largest of length 1.
        numbers: (n,) atomic numbers.
        bottom: (n,) whether an atom is on the lower side of a layer.
        bonds: (m, 2, 3) ends, angstrom.
        centres: (k, 3) of the defect and its images, angstrom.
    """

    positions: Array
    displacements: Array
    numbers: NDArray[np.int64]
    bottom: NDArray[np.bool_]
    bonds: Array
    centres: Array

    def between(self, low: float, high: float) -> Scene:
        """Keep what lies between two values of the coordinate along, angstrom."""
        kept = (self.positions[:, 1] > low) & (self.positions[:, 1] < high)
        inside = np.all((self.bonds[:, :, 1] > low) & (self.bonds[:, :, 1] < high), axis=1)
        seen = (self.centres[:, 1] > low) & (self.centres[:, 1] < high)
        return replace(
            self,
            positions=self.positions[kept],
            displacements=self.displacements[kept],
            numbers=self.numbers[kept],
            bottom=self.bottom[kept],
            bonds=self.bonds[inside],
            centres=self.centres[seen],
        )


def make_scene(spectra: DefectSpectra, mode: LocalisedMode, reach: float) -> Scene:
    """Place the atoms within `reach` angstrom across and along; a near atom lies to the right."""
    atoms = spectra.atoms
    vectors = vectors_from(atoms, spectra.centre)
    frame = _frame(layer_normal(atoms), vectors)
    moved = displacement_of(spectra, mode) @ frame.T
    shifts = _shifts(atoms, reach) @ frame.T
    places = (vectors @ frame.T)[None] + shifts[:, None]
    seen = np.all(np.abs(places[..., :2]) < reach + MARGIN, axis=-1)
    _, sites = np.nonzero(seen)
    side = spectra.groups.side
    return Scene(
        positions=places[seen],
        displacements=moved[sites],
        numbers=atoms.numbers[sites],
        bottom=np.zeros(len(sites), bool) if side is None else side[sites] == "bottom",
        bonds=_bonds(places[seen]),
        centres=shifts,
    )


def displacement_of(spectra: DefectSpectra, mode: LocalisedMode) -> Array:
    """(n_sites, 3) displacements of a level, the largest of length 1.

    Of a degenerate level it is the vector that moves the defect's neighbour most; an atom on
    the defect's own place may move alike in all of them.
    """
    distance = spectra.groups.distance
    neighbour = int(np.where(distance > OFF, distance, np.inf).argmin())
    vectors = spectra.gamma.eigenvectors[:, :, mode.index : mode.index + mode.degeneracy]
    _, _, mixings = np.linalg.svd(vectors[neighbour])
    moved = vectors @ mixings[0] / np.sqrt(spectra.atoms.get_masses())[:, None]
    largest = moved[neighbour][np.abs(moved[neighbour]).argmax()]
    sign = -1.0 if largest < 0 else 1.0
    return np.asarray(sign * moved / np.linalg.norm(moved, axis=1).max())


def _frame(up: Array, vectors: Array) -> Array:
    """(3, 3) rows across, along and up; across points to the nearest atom off the normal."""
    flat = vectors - np.outer(vectors @ up, up)
    aside = np.flatnonzero(np.linalg.norm(flat, axis=1) > OFF)
    nearest = aside[np.linalg.norm(vectors[aside], axis=1).argmin()]
    across = flat[nearest] / np.linalg.norm(flat[nearest])
    return np.array([across, np.cross(up, across), up])


def _shifts(atoms: Atoms, reach: float) -> Array:
    """(n, 3) lattice vectors normal to the layer's normal whose images may be in the picture."""
    cell = atoms.cell.array
    most = int(np.ceil(2 * (reach + MARGIN) / atoms.cell.lengths().min())) + 1
    steps = np.stack(np.meshgrid(*[range(-most, most + 1)] * 3, indexing="ij"), axis=-1)
    shifts = steps.reshape(-1, 3) @ cell
    return np.asarray(shifts[np.abs(shifts @ layer_normal(atoms)) < 1e-3])


def _bonds(positions: Array) -> Array:
    tree = KDTree(positions)
    distances, _ = tree.query(positions, k=2)
    nearest = distances[:, 1]
    pairs = tree.query_pairs(BOND * float(nearest.max()), output_type="ndarray")
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    bonded = pairs[lengths < BOND * nearest[pairs].max(axis=1)]
    return positions[bonded]
