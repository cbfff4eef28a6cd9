"""Structures: added by hand, from a file or an object of ASE or pymatgen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from forcebase.database.database import Database
from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.physics.periodicity import lattice_vectors
from forcebase.records import Activity, Structure
from forcebase.safety.ase_files import read_cell
from forcebase.safety.limits import ATOMS

NEAREST = 0.1
"""angstrom; two atoms that are nearer are one that was written twice."""


def add_structure(
    db: Database, given: Any, *, name: str | None = None, kind: str = ""
) -> Structure:
    """Keep a structure; one that is there already is given as it is.

    Labels that Atoms carry are left out: `forcebase import` takes those, with their method.

    Args:
        db: the database.
        given: path of a file with one structure (CIF, POSCAR, extxyz, ...), ASE Atoms, a pymatgen
            Structure, or a record.
        name: to call it by from now on.
        kind: configuration kind, as "pristine-2x2", of one that is new.

    Raises:
        InputError: it is none of these, cannot be read, or is not a periodic structure of whole
            atoms.
    """
    started = time.perf_counter()
    if name is not None:
        db.names.check(name)
    atoms, source = _read(given)
    _check(atoms, source.get("file", "the structure"))
    record = Structure.from_atoms(atoms, kind=kind)
    if db.structures.missing([record.id]):
        activity = Activity(
            id=content_digest({"added structure": record.id}),
            kind="import",
            name=f"structure add {source.get('file', record.formula)}",
            source=source,
        )
        Batch(structures=[record]).write(db, activity, started)
    if name is not None:
        db.names.name(name, "structures", record.id)
    return db.structures.get(record.id)


def _read(given: Any) -> tuple[Atoms, dict[str, str]]:
    """Atoms without anything else, and where they come from."""
    if isinstance(given, Structure):
        return given.to_atoms(), {}
    if isinstance(given, Atoms):
        return _bare(given), {}
    if isinstance(given, (str, Path)):
        path = Path(given)
        if not path.is_file():
            raise InputError(
                f"There is no file {str(given)!r}.",
                hint="Give the path of a CIF, POSCAR or extxyz file, ASE Atoms, or a pymatgen "
                "Structure; what is in the database already is found by db.get(name).",
            )
        atoms = read_cell(path)
        return atoms, {"file": path.name, "sha256": bytes_digest(path.read_bytes())}
    return _from_pymatgen(given), {}


def _from_pymatgen(given: Any) -> Atoms:
    from pymatgen.core import Structure as PymatgenStructure
    from pymatgen.io.ase import AseAtomsAdaptor

    if not isinstance(given, PymatgenStructure):
        raise InputError(
            f"{type(given).__name__} is not a structure.",
            hint="Give the path of a file, ASE Atoms, or a pymatgen Structure.",
        )
    if not given.is_ordered:
        raise InputError(
            f"{given.formula} has sites that are shared by elements, or partly filled.",
            hint="Order them: pymatgen's OrderDisorderedStructureTransformation does.",
        )
    found: Any = AseAtomsAdaptor.get_atoms(given, msonable=False)
    return _bare(found)


def _bare(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc)


def _check(atoms: Atoms, what: str) -> None:
    """Refuse what is not a crystal, layer, chain or molecule in a box.

    Raises:
        InputError: there are no atoms, no cell, or two atoms at one place.
    """
    from ase.neighborlist import neighbor_list

    if not len(atoms):
        raise InputError(f"{what} has no atoms.")
    ATOMS.check(len(atoms), what)
    try:
        lattice_vectors(atoms.cell.array)
    except InputError as error:
        raise InputError(
            f"{what} ({atoms.get_chemical_formula()}) is not in a cell: {error.message}",
            hint="Put a molecule, chain or layer into a box: atoms.center(vacuum=10).",
        ) from None
    if not np.isfinite(atoms.positions).all():
        raise InputError(f"{what} has positions that are no numbers.")
    first, second, distances = neighbor_list("ijd", atoms, NEAREST)
    if len(distances):
        raise InputError(
            f"{what}: atoms {first[0]} and {second[0]} are {distances[0]:.3g} angstrom apart.",
            hint="One atom was written twice: take one of them out.",
        )
