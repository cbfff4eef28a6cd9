"""A phonon in a few lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.stability import LARGE, commensurate_points, stability
from forcebase.physics.vibrations import modes
from forcebase.records import Phonon
from forcebase.report.summaries.words import reference, settings

SMALLEST_GAP = 0.1
"""THz; smaller ones between two bands are those of the q-points that were looked at."""


def summarise_phonon(db: Database, record: Phonon) -> list[tuple[str, str]]:
    """Supercell, lowest and highest mode, gap, stability, charges, and how it was computed."""
    crystal = crystal_of(db, record)
    large = 3 * len(crystal.primitive_atoms) > LARGE
    points = np.zeros((1, 3)) if large else commensurate_points(crystal)
    frequencies = modes(crystal, points).frequencies
    return [
        ("phonon", record.title),
        ("structure", reference(db, record.structure)),
        ("method", reference(db, record.method)),
        ("supercell", f"{record.supercell}, {record.n_atoms_supercell} atoms"),
        ("defect", str((record.defect or {}).get("name", ""))),
        ("at Gamma", _at_gamma(crystal)),
        ("lowest", _lowest(frequencies, points)),
        ("highest", f"{frequencies.max():.3f} THz"),
        ("gap", _gap(frequencies)),
        ("modes", stability(crystal).words),
        ("Born charges", "yes" if record.born is not None else ""),
        ("protocol", settings(dict(record.protocol or {}))),
        ("relaxation", settings(dict(record.relaxation or {}))),
        ("findings", "; ".join(record.findings or ())),
    ]


def _at_gamma(crystal: HarmonicCrystal) -> str:
    """The optical ones of a small cell; without the splitting of a polar crystal."""
    found = modes(crystal, np.zeros((1, 3))).frequencies[0]
    if len(found) > 30:
        return ""
    optical = " ".join(f"{x:.3f}" for x in np.sort(found)[3:])
    return f"{optical} THz" if optical else ""


def _lowest(frequencies: NDArray[np.float64], points: NDArray[np.float64]) -> str:
    """The lowest mode away from Gamma, where three rest; at Gamma alone, of all others."""
    away = np.abs(points - np.round(points)).max(axis=1) > 1e-6
    if not away.any():
        found = np.sort(frequencies.ravel())[3:]
        return f"{found[0]:.3f} THz at Gamma, but for the three at rest" if len(found) else ""
    chosen = frequencies[away]
    row, _ = np.unravel_index(np.argmin(chosen), chosen.shape)
    place = ", ".join(f"{x + 0.0:.3g}" for x in points[away][row])
    return f"{chosen.min():.3f} THz at ({place})"


def _gap(frequencies: NDArray[np.float64]) -> str:
    """The widest gap between two bands, as the points that fit into the supercell show it."""
    if len(frequencies) < 2 or frequencies.shape[1] <= 3:
        return ""
    bands = np.sort(frequencies, axis=1)
    top, bottom = bands.max(axis=0)[:-1], bands.min(axis=0)[1:]
    widest = int(np.argmax(bottom - top))
    width = bottom[widest] - top[widest]
    if width < SMALLEST_GAP:
        return ""
    return (
        f"{width:.3f} THz, from {top[widest]:.3f} to {bottom[widest]:.3f}, at the "
        f"{len(frequencies)} q-points that fit into the supercell"
    )
