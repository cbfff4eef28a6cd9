"""Directions that are not periodic, as MACE must be given them."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from forcebase.errors import ModelError
from forcebase.physics.periodicity import lattice_vectors


def close_boundaries(atoms: Atoms, r_max: float) -> Atoms:
    """Give the periodic structure that has the same neighbours within `r_max`.

    In a direction that is not periodic, MACE puts a lattice vector of its own in place of the
    structure's, and divides the virial by the volume of that cell: energy and forces are right,
    the stress is not. With enough vacuum the direction may as well be periodic.

    Args:
        atoms: a copy is given, with pbc in all directions.
        r_max: the model's cutoff, angstrom.

    Raises:
        ModelError: images of the structure would be neighbours.
        InputError: a direction without a lattice vector.
    """
    closed = atoms.copy()
    if atoms.pbc.all():
        return closed
    lattice = lattice_vectors(atoms.cell.array)
    fractional = np.linalg.solve(lattice.T, atoms.positions.T).T
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    vacuum = heights * (1 - np.ptp(fractional, axis=0))
    narrow = ~atoms.pbc & (vacuum < r_max)
    if narrow.any():
        raise ModelError(
            f"{atoms.get_chemical_formula()} has {vacuum[narrow].min():.2f} angstrom of vacuum in "
            f"a direction that is not periodic, less than the model's cutoff of {r_max:g}.",
            hint="Give that direction a longer lattice vector.",
            vacuum=vacuum.tolist(),
        )
    closed.pbc = True
    return closed
