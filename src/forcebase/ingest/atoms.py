"""Structures of documents as bare ASE Atoms."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.safety.structures import plain_structure


def plain_atoms(structure: Any) -> Atoms:
    """ASE Atoms of a pymatgen Structure or its dict, without labels or site properties.

    Raises:
        InputError: it is none.
    """
    structure = plain_structure(structure)
    atoms = AseAtomsAdaptor.get_atoms(structure)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array, pbc=structure.pbc)
