"""A Maker that relaxes a structure with a model and computes its force constants."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from jobflow import Maker, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.blob import Blob
from forcebase.digest import structure_digest
from forcebase.frames import Frames
from forcebase.makers.packages import package_versions
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.relaxation import Relaxation, relax
from forcebase.outputs import ModelOutput, PhononOutput
from forcebase.physics.finite_displacement import displacements, harmonic_crystal
from forcebase.physics.harmonic_crystal import HarmonicCrystal, sum_rule_error, symmetry_error
from forcebase.progress import report


@dataclass
class PhononMaker(Maker):
    """Force constants by finite displacements, with a model.

    Attributes:
        name: of the job.
        displacement: angstrom.
        fmax: of the relaxation before, eV/angstrom.
        max_steps: of the relaxation.
        symmetrize: impose sum rule and index symmetry.
    """

    name: str = "phonon"
    displacement: float = 0.02
    fmax: float = 1e-5
    max_steps: int = 500
    symmetrize: bool = True

    @job(data=[Blob])
    def make(
        self,
        model: ModelOutput,
        structure: Structure | dict[str, Any],
        supercell_matrix: list[list[int]],
    ) -> PhononOutput:
        """Relax `structure` with its vacuum axis fixed, displace, and solve.

        Args:
            model: output of a training, or a model published in the same shape.
            structure: unit cell, also as pymatgen's dict; a layer need not be periodic across.
            supercell_matrix: (3, 3) integers, phonopy's convention.

        Raises:
            CalculationError: the relaxation did not converge.
            ModelError: an element that the model does not know.
        """
        started = time.perf_counter()
        loaded = load_mace(
            model["weights"].data, model["weights_sha256"], model["dtype"], model["head"]
        )
        if isinstance(structure, dict):
            structure = Structure.from_dict(structure)
        atoms = AseAtomsAdaptor.get_atoms(structure)
        loaded.require(atoms.numbers)
        initial = structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)
        relaxed = relax(
            atoms,
            loaded.calculator(),
            self.fmax,
            self.max_steps,
            lambda step, force: report("relax", step, self.max_steps, **{"eV/A": force}),
        )
        report("relax", relaxed.steps, relaxed.steps)
        crystal, n_displacements = self._force_constants(relaxed, supercell_matrix, loaded)
        return {
            "forcebase": "phonon",
            "weights_sha256": model["weights_sha256"],
            "dtype": model["dtype"],
            "head": model["head"],
            "initial_structure": initial,
            "structure": AseAtomsAdaptor.get_structure(relaxed.atoms).as_dict(),
            "supercell_matrix": crystal.supercell_matrix.tolist(),
            "primitive_matrix": crystal.primitive_matrix.tolist(),
            "force_constants": Blob.from_arrays(force_constants=crystal.force_constants),
            "protocol": {**self.protocol(), "n_displacements": n_displacements},
            "relaxation": _described(relaxed, crystal),
            "package_versions": package_versions("mace-torch", "torch", "phonopy", "ase"),
            "wall_time": time.perf_counter() - started,
        }

    def protocol(self) -> dict[str, Any]:
        """What this maker was told to do, as the phonon's record keeps it."""
        return {
            "displacement_A": self.displacement,
            "fmax_eV_per_A": self.fmax,
            "symmetrized": self.symmetrize,
            "drift_removed": True,
            "code": "phonopy",
        }

    def asked_for(self, protocol: dict[str, Any]) -> bool:
        """Whether a stored phonon was made by this protocol."""
        return all(protocol.get(key) == value for key, value in self.protocol().items())

    def _force_constants(
        self, relaxed: Relaxation, supercell_matrix: list[list[int]], model: LoadedModel
    ) -> tuple[HarmonicCrystal, int]:
        displaced = displacements(relaxed.atoms, supercell_matrix, self.displacement)
        cells = [displaced.supercell, *displaced.supercells]
        found = evaluate(
            Frames.from_atoms(cells, ids=[str(i) for i in range(len(cells))]),
            model,
            lambda done, total: report("force constants", done, total),
        )
        forces = found.frames.forces.reshape(len(cells), len(displaced.supercell), 3)
        crystal = harmonic_crystal(displaced, forces[1:], forces[0], self.symmetrize)
        return crystal, len(displaced.supercells)


def _described(relaxed: Relaxation, crystal: HarmonicCrystal) -> dict[str, Any]:
    return {
        "converged": True,
        "steps": relaxed.steps,
        "energy": relaxed.energy,
        "max_force": relaxed.max_force,
        "stress": np.asarray(relaxed.stress).tolist(),
        "fixed_axes": list(relaxed.fixed_axes),
        "sum_rule_error": sum_rule_error(crystal),
        "symmetry_error": symmetry_error(crystal),
    }
