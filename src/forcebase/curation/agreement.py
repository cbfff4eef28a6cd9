"""Whether the labels of a dataset agree with each other, wherever each of them came from."""

from __future__ import annotations

import numpy as np

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.force_sanity import check_forces
from forcebase.physics.frozen_forces import frozen_atoms
from forcebase.physics.labelled_cell import LabelledCell
from forcebase.physics.stress_sanity import check_stress

AT_MOST = 5000
"""Structures that are looked at: of more, every so manyth."""
HINT = (
    "Labels that came in one by one, as those of jobs, are first compared with each other here: "
    "`forcebase trace` says where they came from, `--step` or a filter leaves them out."
)


def check_agreement(members: Frames) -> list[str]:
    """Compare forces and stresses with energies, and give what is to be known of them.

    Args:
        members: labelled structures of one method; those without a label are left out.

    Raises:
        InputError: forces or stresses contradict the energies, or forces are a constraint's.
    """
    cells = _cells(members)
    if frozen := frozen_atoms(cells):
        index, atoms = frozen
        raise InputError(
            f"The forces of {len(atoms)} of {len(cells[index].numbers)} atoms of one cell are "
            "exactly zero in all its records, as of fixed atoms: they are not labels.",
            hint=HINT,
        )
    forces, stresses = check_forces(cells), check_stress(cells)
    for doubt, what in ((forces.doubt, "forces"), (stresses.doubt, stresses.what)):
        if doubt:
            raise InputError(
                f"The {what} of the dataset's records are not right: {doubt}", hint=HINT
            )
    return [stresses.note] if stresses.note else []


def _cells(members: Frames) -> list[LabelledCell]:
    offsets = members.offsets
    every = max(1, -(-len(members) // AT_MOST))
    found = []
    for i in range(0, len(members), every):
        rows = slice(offsets[i], offsets[i + 1])
        stress = members.stresses[i]
        if np.isfinite(members.energies[i]) and np.isfinite(members.forces[rows]).all():
            found.append(
                LabelledCell(
                    members.numbers[rows],
                    members.cells[i],
                    members.positions[rows],
                    float(members.energies[i]),
                    members.forces[rows],
                    stress if np.isfinite(stress).all() else None,
                )
            )
    return found
