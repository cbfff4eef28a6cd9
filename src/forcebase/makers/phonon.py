"""Makers of phonons: relax a structure with a model, then compute its force constants."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from jobflow import Flow, Job, Maker, OutputReference, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.blob import Blob
from forcebase.bounds import Bounds, check_bounds, check_choice
from forcebase.makers.packages import package_versions
from forcebase.makers.relaxation import RelaxMaker
from forcebase.models.force_constants import ForceConstants, compute_force_constants
from forcebase.models.golden_probe import load_checked
from forcebase.outputs import ModelOutput, PhononOutput, RelaxationOutput, StructureOutput, model_id
from forcebase.physics.stability import instability
from forcebase.progress import report

HowMade = Literal["auto", "analytic", "displacements"]
RANGES = {"tolerance": Bounds(0, 1, above=True), "displacement": Bounds(0, 1, above=True)}


@dataclass
class ForceConstantsMaker(Maker):
    """Force constants of a relaxed structure with a model.

    Attributes:
        name: of the job.
        method: "analytic" derivatives of the model, finite "displacements", or "auto": analytic
            where the model allows it.
        tolerance: of the analytic ones, eV/angstrom^2.
        displacement: of finite displacements, angstrom.
        symmetrize: impose sum rule and index symmetry.
    """

    name: str = "force constants"
    method: HowMade = "auto"
    tolerance: float = 1e-8
    displacement: float = 0.02
    symmetrize: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, RANGES)
        check_choice(self, "method", get_args(HowMade))

    @job(data=[Blob])
    def make(
        self, model: ModelOutput, relaxed: RelaxationOutput, supercell_matrix: list[list[int]]
    ) -> PhononOutput:
        """Compute the force constants of a supercell of the relaxed structure.

        Args:
            model: output of a training, or a model published in the same shape.
            relaxed: output of `RelaxMaker`.
            supercell_matrix: (3, 3) integers, phonopy's convention.

        Raises:
            ModelError: an element that the model does not know, or a model without analytic
                force constants where these were asked for; answers that are no longer those of
                its golden probe.
        """
        started = time.perf_counter()
        loaded = load_checked(model)
        given: Any = relaxed["structure"]
        structure = given if isinstance(given, Structure) else Structure.from_dict(given)
        found = compute_force_constants(
            loaded,
            AseAtomsAdaptor.get_atoms(structure),
            supercell_matrix,
            tolerance=self.tolerance,
            displacement=self.displacement,
            method=self.method,
            symmetrize=self.symmetrize,
            on_progress=lambda done, total: report("force constants", done, total),
        )
        crystal = found.crystal
        return {
            "forcebase": "phonon",
            "model": model_id(model),
            "weights_sha256": model["weights_sha256"],
            "dtype": model["dtype"],
            "head": model["head"],
            "initial_structure": relaxed["initial_structure"],
            "structure": structure.as_dict(),
            "supercell_matrix": crystal.supercell_matrix.tolist(),
            "primitive_matrix": crystal.primitive_matrix.tolist(),
            "force_constants": Blob.from_arrays(force_constants=crystal.force_constants),
            "defect": relaxed["defect"],
            "protocol": {**self.settings(), **relaxed["settings"], **_described(found)},
            "relaxation": relaxed["relaxation"],
            "findings": _findings(relaxed, found),
            "package_versions": package_versions("phonopy", "ase") | loaded.versions,
            "wall_time": relaxed["wall_time"] + time.perf_counter() - started,
        }

    def settings(self) -> dict[str, Any]:
        """What this maker was told to do, as the phonon's record keeps it."""
        return {
            "asked": self.method,
            "tolerance_eV_per_A2": self.tolerance,
            "displacement_A": self.displacement,
            "symmetrized": self.symmetrize,
            "drift_removed": True,
        }


@dataclass
class PhononMaker(Maker):
    """Relax a structure with a model, then compute its force constants: a flow of two jobs.

    Attributes:
        name: of the flow.
        relax_maker: the relaxation.
        force_constants_maker: the force constants.
    """

    name: str = "phonon"
    relax_maker: RelaxMaker = field(default_factory=RelaxMaker)
    force_constants_maker: ForceConstantsMaker = field(default_factory=ForceConstantsMaker)

    def make(
        self,
        model: ModelOutput | OutputReference,
        structure: Structure | dict[str, Any] | StructureOutput | OutputReference,
        supercell_matrix: list[list[int]],
        relaxed: RelaxationOutput | OutputReference | None = None,
        begun: RelaxationOutput | OutputReference | None = None,
    ) -> Flow:
        """Make the flow; its output is that of the force constants.

        Args:
            model: output of a training, or a model published in the same shape.
            structure: unit cell, see `RelaxMaker`.
            supercell_matrix: (3, 3) integers, phonopy's convention.
            relaxed: the output of an earlier relaxation of `structure`, which is then not
                repeated.
            begun: one that did not converge, to go on from.
        """
        jobs: list[Flow | Job] = []
        if relaxed is None:
            relaxation = self.relax_maker.make(model, structure, begun)
            jobs.append(relaxation)
            relaxed = relaxation.output
        constants = self.force_constants_maker.make(model, relaxed, supercell_matrix)
        return Flow([*jobs, constants], output=constants.output, name=self.name)

    def protocol(self) -> dict[str, Any]:
        """What the two makers were told to do."""
        return {**self.force_constants_maker.settings(), **self.relax_maker.settings()}

    def asked_for(self, protocol: dict[str, Any]) -> bool:
        """Whether a stored phonon was made by this protocol."""
        return all(protocol.get(key) == value for key, value in self.protocol().items())


def _described(found: ForceConstants) -> dict[str, Any]:
    """How the force constants were made, and how far off they were before symmetrisation."""
    described: dict[str, Any] = {
        "method": str(found.method),
        "why_displacements": found.reason,
        "code": "phonopy" if found.n_displacements else "forcebase",
        "precision": found.precision,
        "n_displacements": found.n_displacements,
        "n_centers": found.n_centers,
        "moved_A": found.moved,
        "sum_rule_error_eV_per_A2": found.sum_rule_error,
        "symmetry_error_eV_per_A2": found.symmetry_error,
    }
    if found.check:
        described["check"] = asdict(found.check)
    return described


def _findings(relaxed: RelaxationOutput, found: ForceConstants) -> list[str]:
    findings = []
    relaxation = relaxed["relaxation"]
    if not relaxation["converged"]:
        findings.append(
            f"the relaxation did not reach {relaxed['settings']['fmax_eV_per_A']:g} eV/angstrom "
            f"in {relaxation['steps']} steps: the largest force is {relaxation['max_force']:.2e}, "
            f"with the cell's gradient {relaxation['max_gradient']:.2e}"
        )
    more = (instability(found.crystal), found.crystal.symmetry.finding())
    return findings + [finding for finding in more if finding]
