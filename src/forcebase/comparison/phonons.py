"""Bands and densities of states of one phonon held to those of another."""

from __future__ import annotations

import time

from forcebase.comparison.keeping import keep
from forcebase.database.database import Database
from forcebase.digest import merkle_root
from forcebase.errors import InputError
from forcebase.physics.phonon_comparison import check_protocols, compare_bands, compare_dos
from forcebase.records import Phonon, Validation
from forcebase.spectra import crystal_of, spectra_of


def compare_phonons(db: Database, model: Phonon, reference: Phonon) -> Validation:
    """Bands, DOS and projected DOS of two phonons of one formula and supercell.

    Raises:
        InputError: the two differ in formula, supercell or another part of the protocol that
            changes the answer.
    """
    started = time.perf_counter()
    if model.formula != reference.formula:
        raise InputError(f"A phonon of {model.formula} cannot be held to {reference.formula}.")
    left, right = crystal_of(db, model), crystal_of(db, reference)
    check_protocols(left, right)
    spectra = spectra_of(left, right)
    bands = compare_bands(spectra.model_bands, spectra.reference_bands)
    dos = compare_dos(spectra.model_dos, spectra.reference_dos)
    validation = Validation(
        kind="phonons",
        model=model.method,
        reference=reference.method,
        on={
            "model_phonon": model.id,
            "reference_phonon": reference.id,
            "path": "-".join(spectra.path.labels),
            "mesh": list(spectra.mesh),
        },
        inputs_root=merkle_root([model.id, reference.id]),
        n=len(spectra.path.q_points),
        metrics={**bands.as_dict(), **dos.as_dict()},
    )
    validation.made_from("model phonon", "phonons", model.id)
    validation.made_from("reference phonon", "phonons", reference.id)
    return keep(db, validation.sealed(), "compare phonons", started)
