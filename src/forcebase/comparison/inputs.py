"""What a comparison of labels was made from, read again from its record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.comparison.energies import compared_kind
from forcebase.comparison.joining import Pairs, read_pairs
from forcebase.database.compared import sides
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.physics.alignment import ALL
from forcebase.records import Validation


def pairs_of(db: Database, validation: Validation) -> Pairs:
    """Labels of both sides, the model's energies shifted as the comparison shifted them.

    Raises:
        InputError: it is of phonons, or its list of calculations was not kept.
        NotFoundError: one of the calculations was deleted meanwhile.
    """
    if validation.kind != "labels":
        raise InputError(
            f"{validation.title} is a comparison of {validation.kind}, not of labels.",
            hint="Its plot() draws bands and densities of states.",
        )
    model, reference = sides(db, validation.to_mongo())
    if not model:
        raise InputError(
            f"The comparison {validation.id[:10]} does not say which calculations went in.",
            hint="Compare again, as a user who may write: it is kept then.",
        )
    taken = compared_kind(db, db.methods.get(validation.model))
    pairs = read_pairs(db, np.array(model, dtype="S64"), np.array(reference, dtype="S64"), taken)
    shifts = (validation.metrics.get("alignment") or {}).get("shifts_eV_per_atom") or {}
    if not shifts:
        return pairs
    energies = pairs.model.energies - _shifted(pairs, shifts)
    return Pairs(replace(pairs.model, energies=energies), pairs.reference)


def _shifted(pairs: Pairs, shifts: dict[str, float]) -> NDArray[np.float64]:
    """(n,) eV, what was taken from the energy of each structure."""
    by_number = np.array([shifts.get(s, shifts.get(ALL, 0.0)) for s in chemical_symbols])
    each = by_number[pairs.model.numbers]
    found: NDArray[np.float64] = np.zeros(len(pairs))
    np.add.at(found, pairs.model.owners, each)
    return found
