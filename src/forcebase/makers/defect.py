"""A Maker that makes a supercell with a point defect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from jobflow import Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.digest import structure_digest
from forcebase.errors import InputError
from forcebase.outputs import DefectDescription, StructuresOutput
from forcebase.physics.defect import Defect, DefectCell, apply_defect, read_defect


@dataclass
class DefectMaker(Maker):
    """Repeat a unit cell and make a defect in it.

    Attributes:
        name: of the job.
        defect: a name or a list of changes, see `forcebase.physics.defect.read_defect`.
    """

    name: str = "defect cell"
    defect: str = "v_Se"

    @job
    def make(
        self,
        host: Structure | dict[str, Any],
        supercell_matrix: list[list[int]],
        family: str,
    ) -> StructuresOutput:
        """Make one structure, with the defect's `DefectDescription` beside its recipe.

        Args:
            host: unit cell of the perfect crystal, relaxed.
            supercell_matrix: (3, 3) integers of diagonal form.
            family: of the host, to which its defect cells belong.

        Raises:
            InputError: the supercell has no such site, or the defect cannot be read.
        """
        if isinstance(host, dict):
            host = Structure.from_dict(host)
        unit_cell = AseAtomsAdaptor.get_atoms(host)
        made, defect = defect_cell(unit_cell, supercell_matrix, self.defect)
        host_id = structure_digest(
            unit_cell.numbers, unit_cell.cell.array, unit_cell.positions, unit_cell.pbc
        )
        described = describe_defect(defect, made, supercell_matrix, host_id)
        repeats = "x".join(str(row[i]) for i, row in enumerate(supercell_matrix))
        structure = {
            "structure": AseAtomsAdaptor.get_structure(made.atoms).as_dict(),
            "family": family,
            "kind": f"{defect.name}-{repeats.removesuffix('x1')}",
            "recipe": {
                "operation": "supercell+defect",
                "parameters": {"supercell_matrix": supercell_matrix},
                "seed": None,
                "parent": host_id,
            },
            "defect": described,
        }
        return {"forcebase": "structures", "structures": [structure]}  # type: ignore[list-item]


def defect_cell(
    unit_cell: Atoms, supercell_matrix: list[list[int]], defect: str
) -> tuple[DefectCell, Defect]:
    """Make the defect in a supercell of `unit_cell`.

    Raises:
        InputError: a supercell that is no plain repetition, or a defect that does not fit it.
    """
    matrix = np.asarray(supercell_matrix)
    repeats = np.diag(matrix)
    if np.any(matrix != np.diag(repeats)) or np.any(repeats < 1):
        raise InputError(
            f"A defect needs a supercell along the cell's own vectors, not {matrix.tolist()}.",
            hint="Give three numbers, as 6x6x1.",
        )
    perfect = unit_cell.repeat([int(n) for n in repeats])
    read = read_defect(defect, perfect)
    return apply_defect(perfect, read), read


def describe_defect(
    defect: Defect, made: DefectCell, supercell_matrix: list[list[int]], host: str
) -> DefectDescription:
    """Say what the defect is, for the records of all that is made from its cell."""
    return {
        "name": defect.name,
        "changes": [str(change) for change in defect.changes],
        "centre": [float(x) for x in made.centre],
        "supercell_matrix": [[int(n) for n in row] for row in supercell_matrix],
        "host": host,
    }
