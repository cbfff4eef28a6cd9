"""What models are compared with later stays out of datasets, but for what was released."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forcebase.curation.steps import Reserved
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.records import Phonon

WHY = "the DFT phonon that models are compared with"


def reservations(db: Database, frames: Frames, released: Sequence[str] = ()) -> list[Reserved]:
    """What the candidates have of DFT phonons: families of their unit cells, and displaced cells.

    Args:
        db: the database.
        frames: the candidates.
        released: ids of phonons whose own displaced cells are let in. Where another phonon
            reserves their family, the rest of it stays out.

    Raises:
        InputError: a released phonon is not a DFT phonon, or has no displaced cells on record.
    """
    let_in: set[str] = set()
    for phonon in released:
        let_in |= _released(db, db.phonons.get(phonon))
    families, cells = set(), set()
    for phonon in db.phonons.find(method_class="dft"):
        if phonon.id not in set(released):
            families.add(db.structures.get(phonon.structure).family)
            cells |= _cells(db, phonon)
    families &= set(frames.families.tolist())
    free = np.isin(frames.structures, sorted(let_in))
    mixed = set(frames.families[free].tolist()) & families
    whole = sorted(families - mixed)
    kept_out = np.isin(frames.families, sorted(mixed)) | np.isin(frames.structures, sorted(cells))
    kept_out &= ~free & ~np.isin(frames.families, whole)
    structures = sorted(set(frames.structures[kept_out].tolist()))
    if not structures and not whole:
        return []
    return [Reserved(why=WHY, structures=tuple(structures), families=tuple(whole))]


def _cells(db: Database, phonon: Phonon) -> set[str]:
    """Ids of its displaced supercells' structures; random ones are families of their own."""
    edges = [e.record for e in phonon.provenance.edges if e.collection == "calculations"]
    return {row["structure"] for row in db.calculations.by_ids(edges, {"structure": 1})}


def _released(db: Database, phonon: Phonon) -> set[str]:
    if phonon.method_class != "dft":
        raise InputError(f"Phonon {phonon.id[:10]} is a model's: nothing is reserved for it.")
    found = _cells(db, phonon)
    if not found:
        raise InputError(
            f"Phonon {phonon.id[:10]} has no displaced supercells on record to be released.",
            hint="Import its forces with the energies, as vasprun.xml files or labelled cells.",
        )
    return found
