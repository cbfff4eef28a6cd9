"""Labels that contradict themselves are refused, whatever way they come in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.physics.force_sanity import check_forces
from forcebase.physics.frozen_forces import frozen_atoms
from forcebase.physics.labelled_cell import LabelledCell
from forcebase.physics.stress_sanity import check_stress
from forcebase.records import Calculation

STRESS_HINT = (
    "Convert the stress to eV/angstrom^3, tension positive, in the order xx, yy, zz, yz, xz, xy, "
    "or leave it out (`keys: {stress: null}` in method.yaml)."
)
FORCE_HINT = (
    "Write the forces in eV/angstrom, -dE/dx, in the order of the atoms, and of the calculation "
    "that gave the energy (eV, whole cell)."
)
ENERGY_HINT = "Write the energies in eV, of the whole cell: those that the forces derive from."
HINTS = {"stresses": STRESS_HINT, "forces": FORCE_HINT, "energies": ENERGY_HINT}
FROZEN_HINT = (
    "Write the forces that the code computed (ASE: `get_forces(apply_constraint=False)`), or leave "
    "these structures out."
)


def check_labels(batch: Batch, say_unchecked: bool = False) -> None:
    """Compare the DFT labels of a batch with each other, method by method; what is seen is noted.

    Args:
        batch: its `notes` are added to.
        say_unchecked: note too where no two structures share a cell, so that nothing is known.

    Raises:
        InputError: forces or stresses contradict the energies, or forces are a constraint's.
    """
    for cells in _by_method(batch):
        if frozen := frozen_atoms(cells):
            index, atoms = frozen
            raise InputError(
                f"structure {index}: the forces of {len(atoms)} of {len(cells[index].numbers)} "
                f"atoms (as {atoms[0]}) are exactly zero while their neighbours' are not, and no "
                "symmetry makes them so: they are a constraint's.",
                hint=FROZEN_HINT,
            )
        forces = check_forces(cells)
        if forces.doubt:
            raise InputError(forces.doubt, hint=FORCE_HINT)
        stresses = check_stress(cells)
        if stresses.doubt:
            raise InputError(stresses.doubt, hint=HINTS[stresses.what])
        if stresses.note:
            batch.notes.append(stresses.note)
        if say_unchecked and len(cells) > 1 and not forces.pairs and not stresses.pairs:
            batch.notes.append(
                f"signs and units of {len(cells)} structures' labels could not be compared with "
                "their energies: no two are near enough in one cell, or in one strain."
            )


def _by_method(batch: Batch) -> Iterator[list[LabelledCell]]:
    structures = {structure.id: structure for structure in batch.structures}
    groups: dict[str, list[LabelledCell]] = defaultdict(list)
    for calculation in batch.calculations:
        structure = structures.get(calculation.structure)
        if calculation.method_class == "dft" and structure is not None:
            groups[calculation.method].append(
                LabelledCell(
                    structure.numbers,
                    structure.cell,
                    structure.positions,
                    force_energy(calculation),
                    calculation.forces,
                    calculation.stress,
                )
            )
    yield from groups.values()


def force_energy(calculation: Calculation) -> float:
    """The energy that the forces derive from, where it is told apart; eV."""
    free = calculation.free_energy
    return float(calculation.energy if free is None else free)
