"""A Maker that relaxes a structure with a model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from jobflow import Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.blob import Blob
from forcebase.bounds import Bounds, check_bounds
from forcebase.digest import structure_digest
from forcebase.makers.packages import package_versions
from forcebase.models.golden_probe import load_checked
from forcebase.models.relaxation import Relaxation, relax
from forcebase.outputs import (
    DefectDescription,
    ModelOutput,
    RelaxationOutput,
    StructureOutput,
    model_id,
)
from forcebase.progress import report

RANGES = {"fmax": Bounds(0, 10, above=True), "max_steps": Bounds(1, 1_000_000, whole=True)}


@dataclass
class RelaxMaker(Maker):
    """Relax positions and cell with a model, the vacuum axis fixed, the symmetry kept.

    Attributes:
        name: of the job.
        fmax: largest force and cell gradient, eV/angstrom.
        max_steps: at most so many.
    """

    name: str = "relax"
    fmax: float = 1e-5
    max_steps: int = 500

    def __post_init__(self) -> None:
        check_bounds(self, RANGES)

    @job(data=[Blob])
    def make(
        self,
        model: ModelOutput,
        structure: Structure | dict[str, Any] | StructureOutput,
        begun: RelaxationOutput | None = None,
    ) -> RelaxationOutput:
        """Relax `structure`; one that does not converge is given as far as it came.

        Args:
            model: output of a training, or a model published in the same shape.
            structure: pymatgen's, also as a dict, or a made structure with its recipe; a layer
                need not be periodic across.
            begun: an earlier relaxation of it that did not converge, to go on from.

        Raises:
            CalculationError: a force that is not a number.
            ModelError: an element that the model does not know.
        """
        started = time.perf_counter()
        loaded = load_checked(model)
        atoms, defect = _given(structure)
        loaded.require(atoms.numbers)
        calculator = loaded.calculator()
        start = _given(begun["structure"])[0] if begun else atoms
        relaxed = relax(start, calculator, self.fmax, self.max_steps, self._tell)
        report("relax", relaxed.steps, relaxed.steps)
        final = relaxed.atoms.copy()
        final.calc = calculator
        return {
            "forcebase": "relaxation",
            "model": model_id(model),
            "weights_sha256": model["weights_sha256"],
            "dtype": model["dtype"],
            "head": model["head"],
            "initial_structure": structure_digest(
                atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc
            ),
            "structure": AseAtomsAdaptor.get_structure(relaxed.atoms).as_dict(),
            "defect": defect,
            "labels": Blob.from_arrays(forces=final.get_forces(), stress=final.get_stress()),
            "settings": self.settings(),
            "relaxation": _described(relaxed),
            "package_versions": package_versions("ase") | loaded.versions,
            "wall_time": time.perf_counter() - started,
        }

    def settings(self) -> dict[str, Any]:
        """What decides when a relaxation is done."""
        return {"fmax_eV_per_A": self.fmax}

    def _tell(self, step: int, force: float) -> None:
        report("relax", step, self.max_steps, **{"eV/A": force})


def _given(structure: Any) -> tuple[Atoms, DefectDescription | None]:
    """The atoms and their defect, where they are a made cell with one."""
    defect = None
    if isinstance(structure, dict) and "recipe" in structure:
        structure, defect = structure["structure"], structure.get("defect")
    if isinstance(structure, dict):
        structure = Structure.from_dict(structure)
    return AseAtomsAdaptor.get_atoms(structure), defect


def _described(relaxed: Relaxation) -> dict[str, Any]:
    return {
        "converged": relaxed.converged,
        "steps": relaxed.steps,
        "energy": relaxed.energy,
        "max_force": relaxed.max_force,
        "max_gradient": relaxed.max_gradient,
        "stress": np.asarray(relaxed.stress).tolist(),
        "fixed_axes": list(relaxed.fixed_axes),
    }
