"""One phonon compared with another: bands, modes, densities of states, heat and force constants."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.comparison.keeping import keep
from forcebase.comparison.leakage import seen_by
from forcebase.comparison.phonon_protocol import Part, Protocol, hold_protocols
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.digest import merkle_root
from forcebase.errors import InputError
from forcebase.physics.crystal_setting import in_one_setting
from forcebase.physics.dos_distance import dos_distance
from forcebase.physics.force_constant_errors import compare_force_constants
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mode_matching import match_modes
from forcebase.physics.phonon_comparison import compare_bands, compare_dos
from forcebase.physics.polar_splitting import Nac
from forcebase.physics.spectra import Spectra, spectra_of
from forcebase.physics.thermodynamics import compare_thermodynamics
from forcebase.physics.vibrations import modes
from forcebase.records import Phonon, Validation

EDITION = 4
"""Of what a comparison of phonons holds; one of an older edition is not found but made again.
3 says what the model has seen, 4 whose Born charges both sides have."""

DIGITS = 7
"""Decimals kept of all metrics, so that the last bits of an eigensolver, which change with the
number of threads, make no other record. They are 1e-7 THz for an acoustic mode at Gamma."""


def compare_phonons(
    db: Database,
    model: Phonon,
    reference: Phonon,
    *,
    allow: Iterable[Part] = (),
    nac: Nac = Nac.REFERENCE,
    recompute: bool = False,
) -> Validation:
    """Compare one phonon with another of the same structure, in any setting of its cell.

    The result is a validation record: asked again on the same records, it is found again.

    Args:
        db: the database.
        model: the phonon that is judged.
        reference: the phonon it is compared with; its q-points are taken.
        allow: parts of the protocol that may be unlike; those that are, are in the record.
        nac: whose Born charges make the non-analytical term in three dimensions, on both sides.
        recompute: compute it even where it is there; the same numbers give the same record.

    Raises:
        InputError: the two are not of one structure, or their protocols are unlike in a part
            that is not allowed.
        IntegrityError: computed again, it is not what the record says.
    """
    return compare_with_spectra(db, model, reference, allow, nac, recompute)[0]


def compare_with_spectra(
    db: Database,
    model: Phonon,
    reference: Phonon,
    allow: Iterable[Part] = (),
    nac: Nac = Nac.REFERENCE,
    recompute: bool = False,
) -> tuple[Validation, Spectra | None]:
    """Like `compare_phonons`, with the spectra of both; None where the record was found."""
    started = time.perf_counter()
    allowed = tuple(allow)
    found = _found(db, model, reference, allowed, nac)
    if found is not None and not recompute:
        return found, None
    left, right = _in_one_setting(db, model, reference)
    protocol = hold_protocols((model, left), (reference, right), nac)
    protocol.check(allowed)
    spectra = spectra_of(left, right, nac)
    validation = _validation(model, reference, protocol, spectra)
    validation.leakage = seen_by(db, db.methods.get(model.method), _cells(db, reference)).counts()
    return keep(db, validation.sealed(), "compare phonons", started, found), spectra


def _validation(
    model: Phonon, reference: Phonon, protocol: Protocol, spectra: Spectra
) -> Validation:
    validation = Validation(
        kind="phonons",
        model=model.method,
        reference=reference.method,
        on={
            "model_phonon": model.id,
            "reference_phonon": reference.id,
            "path": spectra.path.name,
            "nac": str(spectra.splitting.applied),
            "nac_asked": str(spectra.splitting.asked),
            "nac_words": spectra.splitting.words,
            "mesh": list(spectra.mesh),
            "allowed": {str(part): list(values) for part, values in protocol.unlike.items()},
            "not_known": [str(part) for part in protocol.not_known],
            "edition": EDITION,
        },
        inputs_root=merkle_root([model.id, reference.id]),
        n=len(spectra.path.q_points),
        metrics=_metrics(spectra),
    )
    validation.made_from("model phonon", "phonons", model.id)
    validation.made_from("reference phonon", "phonons", reference.id)
    return validation


def _cells(db: Database, phonon: Phonon) -> NDArray[np.bytes_]:
    """Ids of the structures that a phonon stands for: its cell, and displaced ones on record."""
    edges = [edge for edge in phonon.provenance.edges if edge.collection == "calculations"]
    displaced = db.calculations.raw.find(
        {"_id": {"$in": [edge.record for edge in edges]}}, {"structure": 1}
    )
    return np.unique(
        np.array([phonon.structure, *(row["structure"] for row in displaced)], dtype="S64")
    )


def _found(
    db: Database, model: Phonon, reference: Phonon, allowed: tuple[Part, ...], nac: Nac
) -> Validation | None:
    """The comparison that there is, where what it allowed is allowed now too."""
    root = merkle_root([model.id, reference.id])
    for found in db.validations.find(inputs_root=root, kind="phonons"):
        same = found.on.get("edition") == EDITION and found.on["model_phonon"] == model.id
        same = same and found.on["nac_asked"] == nac
        if same and set(found.on["allowed"]) <= {str(part) for part in allowed}:
            return found
    return None


def _in_one_setting(
    db: Database, model: Phonon, reference: Phonon
) -> tuple[HarmonicCrystal, HarmonicCrystal]:
    left, right = crystal_of(db, model), crystal_of(db, reference)
    try:
        return in_one_setting(left, right)
    except InputError as error:
        raise InputError(
            f"Phonon {model.id[:10]} of {model.formula} and {reference.id[:10]} of "
            f"{reference.formula} are not of one structure. {error.message}",
            hint=error.hint,
            **error.evidence,
        ) from None


def _metrics(spectra: Spectra) -> dict[str, Any]:
    model, reference, mesh = spectra.model, spectra.reference, spectra.mesh
    path = spectra.path
    ours, theirs = (modes(side, path.q_points, path.directions) for side in (model, reference))
    matched = match_modes(
        (ours.frequencies, theirs.frequencies), (ours.eigenvectors, theirs.eigenvectors)
    )
    return _rounded(
        {
            **compare_bands(spectra.model_bands, spectra.reference_bands).as_dict(),
            **compare_dos(spectra.model_dos, spectra.reference_dos).as_dict(),
            "modes": matched.as_dict(),
            "dos_distance": dos_distance(model, reference, mesh).as_dict(),
            "thermal": compare_thermodynamics(model, reference, mesh).as_dict(),
            "force_constants": compare_force_constants(model, reference).as_dict(),
            **_at_gamma(spectra),
        }
    )


def _at_gamma(spectra: Spectra) -> dict[str, Any]:
    """The highest mode at Gamma along each way of the path, where that has a direction."""
    if spectra.splitting.applied is Nac.NONE:
        return {}
    found = {}
    for index, way in spectra.path.gamma_points():
        ours, theirs = (
            float(bands.frequencies[index].max())
            for bands in (spectra.model_bands, spectra.reference_bands)
        )
        found[way] = {"highest_error_THz": ours - theirs, "highest_reference_THz": theirs}
    return {"gamma": found}


def _rounded(value: Any) -> Any:
    """The same to `DIGITS`, without negative zeros."""
    if isinstance(value, dict):
        return {key: _rounded(found) for key, found in value.items()}
    if isinstance(value, list):
        return [_rounded(found) for found in value]
    return round(value, DIGITS) + 0.0 if isinstance(value, float) else value
