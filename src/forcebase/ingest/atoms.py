"""Structures of documents as bare ASE Atoms."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from pymatgen.core import Structure as PymatgenStructure
from pymatgen.io.ase import AseAtomsAdaptor


def plain_atoms(structure: Any) -> Atoms:
    """ASE Atoms of a pymatgen Structure or its dict, without labels or site properties."""
    if isinstance(structure, dict):
        structure = PymatgenStructure.from_dict(structure)
    atoms = AseAtomsAdaptor.get_atoms(structure)
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array, pbc=structure.pbc)
