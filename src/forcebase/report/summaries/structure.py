"""A structure in a few lines."""

from __future__ import annotations

import numpy as np

from forcebase.database.database import Database
from forcebase.records import Structure
from forcebase.report.summaries.words import lattice, listed, reference, settings

SYMMETRY = 1e-3
"""angstrom, of the space group that is told."""


def summarise_structure(db: Database, record: Structure) -> list[tuple[str, str]]:
    """What it is made of, its cell and symmetry, where it comes from, what was computed of it."""
    recipe = dict(record.recipe or {})
    made = [recipe.get("operation", ""), settings(recipe.get("parameters"))]
    per = db.calculations.raw.aggregate(
        [{"$match": {"structure": record.id}}, {"$group": {"_id": "$method", "n": {"$sum": 1}}}]
    )
    labelled = [
        reference(db, row["_id"]) + (f" x{row['n']}" if row["n"] > 1 else "") for row in per
    ]
    phonons = db.phonons.raw.find({"structure": record.id}, {"method": 1})
    return [
        ("formula", f"{record.formula}, {record.n_atoms} atoms"),
        ("cell", lattice(record.cell)),
        ("volume", f"{abs(np.linalg.det(record.cell)):.3f} A^3"),
        ("periodic", _periodicity(record)),
        ("space group", _space_group(record)),
        ("kind", str(record.kind or "")),
        ("defect", str((record.defect or {}).get("name", ""))),
        ("made by", ": ".join(part for part in made if part)),
        ("made from", reference(db, recipe.get("parent"))),
        ("family", "its own" if record.family == record.id else reference(db, record.family)),
        ("labels by", listed(labelled)),
        ("phonons by", listed(reference(db, row["method"]) for row in phonons)),
    ]


def _periodicity(record: Structure) -> str:
    vacuum = [name for name, axis in zip("abc", record.vacuum_axes, strict=True) if axis]
    forms = ("in a, b and c", "a layer", "a chain", "a molecule")
    along = f", vacuum along {' and '.join(vacuum)}" if vacuum else ""
    return f"{forms[len(vacuum)]}{along}"


def _space_group(record: Structure) -> str:
    import spglib

    atoms = record.to_atoms()
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.get_spacegroup(cell, symprec=SYMMETRY)
    return f"{found}, to {SYMMETRY:g} A" if found else ""
