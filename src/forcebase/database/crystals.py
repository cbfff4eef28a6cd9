"""The crystal of a stored phonon: its force constants with all that goes with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.physics.dielectric_response import GONZE, DielectricResponse
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.records import Phonon


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
        response=response_of(phonon),
        moments=_moments(phonon),
    )


def response_of(phonon: Phonon) -> DielectricResponse | None:
    """Born charges and dielectric tensor of a stored phonon; None where it has none."""
    if phonon.born is None or phonon.epsilon_static is None:
        return None
    term = phonon.nac or {}
    return DielectricResponse(
        born=np.array(phonon.born),
        dielectric=np.array(phonon.epsilon_static),
        factor=term.get("factor_eV_A"),
        method=term.get("method", GONZE),
        g_cutoff=term.get("g_cutoff_per_A"),
        ewald=term.get("ewald_per_A"),
    )


def _moments(phonon: Phonon) -> NDArray[np.float64] | None:
    if phonon.magnetic_moments is None:
        return None
    moments = np.array(phonon.magnetic_moments)
    return moments[:, 0] if moments.shape[1] == 1 else moments
