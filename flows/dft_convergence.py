"""Cutoff and k-spacing of a plane-wave method, tested on one crystal and kept as records.

    forcebase launch flows/dft_convergence.py --set 'cutoffs=[350, 500, 650]'
    forcebase launch flows/dft_convergence.py --set 'cutoffs=[500]' --set 'k_spacings=[0.38, 0.19]'

Every setting labels the same three cells: the crystal with its atoms displaced, and that cell
strained by +-1 % along all directions in which it is periodic. `benchmarks/dft_convergence.py`
reads the records: how far the slope of the energy and the stress differ, and how far the forces
of two meshes or two cutoffs do.
"""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms
from ase.io import read
from jobflow import Flow, Job
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.digest import structure_digest
from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.makers.sampling import LabelStructuresMaker
from forcebase.outputs import StructureOrigin, StructureOutput
from forcebase.physics.periodicity import vacuum_axes
from forcebase.physics.sampling import rattle
from forcebase.remote.placement import place

UNIT_CELL = Path(__file__).parent.parent / "data" / "wse2_gpaw" / "wse2_gpaw_unitcell.extxyz"


def build(
    structure: str = str(UNIT_CELL),
    cutoffs: list[float] = [350.0, 500.0, 650.0],  # noqa: B006 - never changed
    k_spacings: list[float] = [0.38],  # noqa: B006
    displacement: float = 0.05,
    strain: float = 0.01,
    seed: int = 1,
    kind: str = "convergence",
    workers: dict[str, str] | None = None,
) -> Flow:
    """Label the three cells at each cutoff (eV) and k-spacing (1/angstrom, 2 pi included).

    `displacement`: standard deviation of the atoms' displacements, angstrom; `strain`: of the
    strained cells; 0 leaves them out, where only the forces are asked for. `workers`: job name, or
    a part of it, to a worker of jobflow-remote.
    """
    start = cast(Atoms, read(structure))
    cells = strained_cells(start, displacement, strain, seed, kind)
    tight = GPAWStaticMaker(force_tolerance=1e-4, density_tolerance=1e-6)
    flows: list[Flow | Job] = []
    for cutoff in cutoffs:
        for spacing in k_spacings:
            maker = replace(tight, cutoff=float(cutoff), k_spacing=float(spacing))
            labelling = LabelStructuresMaker(static_maker=maker).make(
                {"forcebase": "structures", "structures": cells}
            )
            labelling.append_name(f" {cutoff:g} eV, {spacing:g} per A")
            flows.append(labelling)
    return place(Flow(flows, name=f"convergence of {start.get_chemical_formula()}"), workers)


def strained_cells(
    start: Atoms, displacement: float, strain: float, seed: int, kind: str
) -> list[StructureOutput]:
    """The displaced crystal, and strained copies of it along the directions that are periodic."""
    displaced = rattle(start, displacement, seed)
    vacuum = np.array(vacuum_axes(start.cell.array, start.positions, start.pbc))
    parent = structure_digest(start.numbers, start.cell.array, start.positions, start.pbc)
    made = []
    for e in (0.0, -strain, strain) if strain else (0.0,):
        atoms = displaced.copy()
        scale = np.where(vacuum, 1.0, 1.0 + e)[:, None]
        atoms.set_cell(displaced.cell.array * scale, scale_atoms=True)
        recipe = StructureOrigin(
            operation="rattle+strain",
            parameters={"rattle_std": displacement, "strain": e},
            seed=seed,
            parent=parent,
        )
        made.append(
            StructureOutput(
                structure=AseAtomsAdaptor.get_structure(atoms).as_dict(),
                family=parent,
                kind=kind,
                recipe=recipe,
            )
        )
    return made
