"""Makers that draw new structures and have them labelled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import Flow, Job, Maker, Response, job
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.outputs import StructureOutput, StructuresOutput
from forcebase.physics.sampling import SampledStructure, SamplingPlan, sample


@dataclass
class SampleStructuresMaker(Maker):
    """Draw structures from a unit cell.

    Attributes:
        name: of the job.
        plan: what to draw.
    """

    name: str = "sample structures"
    plan: SamplingPlan = field(default_factory=lambda: SamplingPlan(cells=()))

    @job
    def make(self, unit_cell: Structure) -> StructuresOutput:
        """Draw all structures of the plan; see `forcebase.physics.sampling.sample`."""
        drawn = sample(AseAtomsAdaptor.get_atoms(unit_cell), self.plan)
        return {"forcebase": "structures", "structures": [_output(made) for made in drawn]}


@dataclass
class LabelStructuresMaker(Maker):
    """Have every structure labelled in a job of its own.

    Attributes:
        name: of the job.
        static_maker: any maker whose `make` takes a pymatgen structure: GPAW here, or atomate2's
            for VASP, CP2K or force fields.
    """

    name: str = "label structures"
    static_maker: Maker = field(default_factory=GPAWStaticMaker)

    @job
    def make(self, structures: StructuresOutput) -> Response:
        """Replace this job by one static calculation per structure.

        Kind, family, recipe and defect of a structure go into the metadata of its job, under
        `forcebase`, so that they stay beside the output, of whatever shape it is; with a force
        field of atomate2, the digest of its weights too, which its documents do not say.
        """
        labelling: list[Flow | Job] = [self._label(made) for made in structures["structures"]]
        return Response(replace=Flow(labelling, output=[job.output for job in labelling]))

    def _label(self, made: StructureOutput) -> Flow | Job:
        labelling = self.static_maker.make(_structure(made))
        labelling.append_name(f" {made['kind']} {made['family'][:10]}")
        known: dict[str, Any] = {name: made[name] for name in ("kind", "family", "recipe")}
        if "defect" in made:
            known["defect"] = made["defect"]
        if weights := _weights(self.static_maker):
            known["weights"] = weights
        labelling.update_metadata({"forcebase": known})
        return labelling


def _weights(maker: Maker) -> dict[str, Any] | None:
    """Digest of the file that a maker's calculator loads, with precision and head as asked for."""
    asked = getattr(maker, "calculator_kwargs", None) or {}
    file = asked.get("model") or asked.get("model_paths") or asked.get("model_path")
    if not isinstance(file, (str, Path)) or not Path(file).is_file():
        return None
    with Path(file).open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"sha256": digest, "dtype": asked.get("default_dtype"), "head": asked.get("head")}


def _output(made: SampledStructure) -> StructureOutput:
    return {
        "structure": AseAtomsAdaptor.get_structure(made.atoms).as_dict(),
        "family": made.family,
        "kind": made.kind,
        "recipe": made.recipe,
    }


def _structure(made: StructureOutput) -> Structure:
    """Jobflow rebuilds pymatgen's objects on the way, but not when a dict is given as it is."""
    given = made["structure"]
    return given if isinstance(given, Structure) else Structure.from_dict(given)
