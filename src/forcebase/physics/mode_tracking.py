"""The same localised mode in supercells of several sizes, told by its shape near the defect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.localisation import LocalisedMode
from forcebase.physics.shells import image_radius, vectors_from

SAME_SITE = 0.6
"""angstrom; relaxation moves a site by less from one supercell to the next."""

SAME_MODE = 0.6
"""Similarity from which on two levels count as one mode."""


@dataclass(frozen=True)
class Tracked:
    """One mode through the supercells.

    Attributes:
        levels: (number of the supercell in their order, level there), without gaps.
        similarity: of each level to the one before it, 0 to 1.
    """

    levels: tuple[tuple[int, LocalisedMode], ...]
    similarity: tuple[float, ...]


def track_modes(spectra: Sequence[DefectSpectra]) -> list[Tracked]:
    """Follow localised levels from each supercell to the next.

    Levels of neighbours in the order of `spectra` are paired so that the sum of similarities
    is the largest; a pair of less than `SAME_MODE` is none. Every level is in one track.
    """
    from scipy.optimize import linear_sum_assignment

    tracks = [[(0, level)] for level in spectra[0].localised] if spectra else []
    values: list[list[float]] = [[] for _ in tracks]
    for i in range(1, len(spectra)):
        alike = similarities(spectra[i - 1], spectra[i])
        last = {id(track[-1][1]): n for n, track in enumerate(tracks) if track[-1][0] == i - 1}
        befores, afters = linear_sum_assignment(-alike)
        continued = {
            int(after): int(before)
            for before, after in zip(befores, afters, strict=True)
            if alike[before, after] >= SAME_MODE
        }
        for number, level in enumerate(spectra[i].localised):
            if number in continued:
                before = continued[number]
                track = last[id(spectra[i - 1].localised[before])]
                tracks[track].append((i, level))
                values[track].append(float(alike[before, number]))
            else:
                tracks.append([(i, level)])
                values.append([])
    return [
        Tracked(tuple(levels), tuple(alike)) for levels, alike in zip(tracks, values, strict=True)
    ]


def similarities(one: DefectSpectra, other: DefectSpectra) -> NDArray[np.float64]:
    """(n_levels of one, n_levels of the other) similarity of localised levels, 0 to 1.

    With U and V the vectors of two levels on the sites that both cells have, it is
    |U^T V| / sqrt(|U^T U| |V^T V|), Frobenius norms: 1 for the same space of displacements
    there, however the vectors of a degenerate level are mixed, and whatever part of the mode
    lies further out (the root of the RV coefficient of Robert and Escoufier, Appl. Stat. 25,
    257 (1976), without the means taken off).
    """
    sites, images = common_sites(one.atoms, one.centre, other.atoms, other.centre)
    ours = [_vectors(one, level, sites) for level in one.localised]
    theirs = [_vectors(other, level, images) for level in other.localised]
    found = np.zeros((len(ours), len(theirs)))
    for i, u in enumerate(ours):
        for j, v in enumerate(theirs):
            sizes = np.linalg.norm(u.T @ u) * np.linalg.norm(v.T @ v)
            found[i, j] = np.linalg.norm(u.T @ v) / np.sqrt(sizes) if sizes > 0 else 0.0
    return found


def common_sites(
    one: Atoms, one_centre: NDArray[np.float64], other: Atoms, other_centre: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair the atoms of two cells that have the same element and place around their centres.

    Only atoms nearer to the centre than to any image of it in either cell are paired.

    Returns:
        Indices of `one` and, in the same order, of `other`.
    """
    from scipy.spatial.distance import cdist

    reach = min(image_radius(one), image_radius(other))
    ours, theirs = vectors_from(one, one_centre), vectors_from(other, other_centre)
    near = np.flatnonzero(np.linalg.norm(ours, axis=1) <= reach)
    apart = cdist(ours[near], theirs)
    apart[one.numbers[near][:, None] != other.numbers[None, :]] = np.inf
    image = apart.argmin(axis=1)
    kept = apart[np.arange(len(near)), image] < SAME_SITE
    return near[kept], image[kept]


def _vectors(
    spectra: DefectSpectra, level: LocalisedMode, sites: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(3 n_sites, degeneracy) eigenvectors of a level on some sites."""
    modes = slice(level.index, level.index + level.degeneracy)
    return spectra.gamma.eigenvectors[sites, :, modes].reshape(3 * len(sites), level.degeneracy)
