"""Job outputs become records: one function for each shape in `forcebase.outputs`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.database.label_table import LabelTable
from forcebase.digest import content_digest, merkle_root
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.ingest.atoms import plain_atoms
from forcebase.ingest.batch import Batch
from forcebase.ingest.made_again import first_phonon, first_relaxation, relaxation_apart
from forcebase.models.neutral_form import read_neutral
from forcebase.outputs import (
    CurationOutput,
    ModelOutput,
    PhononOutput,
    PredictionsOutput,
    RelaxationOutput,
    StructuresOutput,
)
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.finite_displacement import unit_cell_masses
from forcebase.records import Calculation, Dataset, DatasetMember, ModelMethod, Phonon, Structure
from forcebase.records.dataset import DROPPED, SPLITS
from forcebase.records.phonon import BY_INPUTS, LATER
from forcebase.records.structure import defect_as_field


def structures_batch(db: Database, output: StructuresOutput) -> Batch:  # noqa: ARG001
    """Sampled structures, each with its recipe and family."""
    found = [
        Structure.from_atoms(
            plain_atoms(made["structure"]),
            family=made["family"],
            kind=made["kind"],
            recipe=dict(made["recipe"]),
            defect=made.get("defect"),
        )
        for made in map(defect_as_field, output["structures"])
    ]
    return Batch(structures=found)


def curation_batch(db: Database, output: CurationOutput) -> Batch:  # noqa: ARG001
    """A dataset and its members, those that were dropped included."""
    members = output["members"]
    root = merkle_root(DatasetMember.leaf(m["calculation"], m["split"]) for m in members)
    dataset = Dataset(
        name=output["name"],
        version=output["version"],
        parent=output["parent"],
        method=output["method"],
        members_root=root,
        counts={
            **{split: sum(m["split"] == split for m in members) for split in SPLITS},
            DROPPED: len(output["dropped"]),
        },
        query=output["query"],
        steps=[dict(step) for step in output["steps"]],
        e0s=output["e0s"],
        e0s_source=output["e0s_source"],
        findings=output.get("findings") or [],
        energy_kind=output.get("energy_kind"),
        wall_time=output["wall_time"],
    )
    if output["parent"]:
        dataset.made_from("parent version", "datasets", output["parent"])
    for equivalence in output["query"].get("equated") or ():
        dataset.made_from("equated by", "equivalences", equivalence)
    dataset.made_from("method", "methods", output["method"]).sealed()
    rows = [
        DatasetMember(id=f"{dataset.id}:{m['calculation']}", dataset=dataset.id, **m)
        for m in members
    ] + [
        DatasetMember(id=f"{dataset.id}:{d['calculation']}", dataset=dataset.id, split=DROPPED, **d)
        for d in output["dropped"]
    ]
    return Batch(datasets=[(dataset, rows)])


def model_batch(db: Database, output: ModelOutput) -> Batch:
    """A model: weights into blobs, all that explains them into its record.

    One that a job of an earlier version made has no neutral form: its file is not opened here.

    Raises:
        InputError: the weights are not there, or are not those of the digest.
        ModelError: the neutral form cannot be one.
    """
    if output["weights"] is None:
        raise InputError("The model came without its file.", hint="Collect the job that made it.")
    weights = _blob(output["weights"])
    if weights.sha256 != output["weights_sha256"]:
        raise InputError("The weights do not match the digest that the training gave.")
    blobs, neutral = [weights.data], output.get("neutral")
    if neutral is not None:
        neutral = _blob(neutral)
        read_neutral(neutral.data)
        blobs.append(neutral.data)
    dataset_id = output["dataset"] or _dataset_id(db, output["dataset_job"])
    beside = (
        "elements",
        "e0s",
        "hyperparameters",
        "seed",
        "n_parameters",
        "learning_curve",
        "golden_probe",
        "package_versions",
        "wall_time",
    )
    model = ModelMethod(
        kind=output["kind"],
        weights=weights.sha256,
        neutral=neutral.sha256 if neutral else None,
        dtype=output["dtype"],
        head=output["head"],
        dataset=dataset_id,
        arguments=output.get("arguments") or {},
        package=output.get("package"),
        environment=output.get("environment") or {},
        parent=output.get("parent"),
        **{name: cast("dict[str, Any]", output)[name] for name in beside},
    )
    if model.parent:
        model.made_from("parent model", "methods", model.parent)
    if dataset_id:
        model.made_from("training data", "datasets", dataset_id)
    return Batch(blobs=blobs, methods=[model.sealed()])


def predictions_batch(db: Database, output: PredictionsOutput) -> Batch:
    """A model's labels as calculations."""
    model = _model(db, cast("dict[str, Any]", output))
    frames = Frames.from_blob(_blob(output["frames"]))
    wall_times = np.asarray(output["wall_times"], dtype=float)
    return Batch(label_tables=[LabelTable.of(db, model, frames, wall_times)])


def relaxation_batch(db: Database, output: RelaxationOutput) -> Batch:
    """A relaxed structure, and the model's labels of it.

    One that is there already stays what the relaxation gave, and is compared with this one.
    """
    model = _model(db, cast("dict[str, Any]", output))
    relaxed = _relaxed(db, model, cast("dict[str, Any]", output), output["settings"])
    energy = float(output["relaxation"]["energy"])
    first = first_relaxation(db, relaxed)
    if first is not None and first.id != relaxed.id:
        apart = relaxation_apart(db, first, relaxed, energy)
        return Batch(findings=[apart] if apart else [])
    labels = _blob(output["labels"]).arrays()
    calculation = Calculation.of(
        relaxed,
        model,
        energy=energy,
        forces=labels["forces"],
        stress=labels["stress"],
        wall_time=output["wall_time"],
    )
    return Batch(structures=[relaxed], calculations=[calculation])


def phonon_batch(db: Database, output: PhononOutput) -> Batch:
    """A model's phonon and the relaxed structure it belongs to, the first if it is there already.

    Where the relaxation ended elsewhere than before, its own end is kept, for the force constants
    are of that: but not beside a phonon of the same inputs.
    """
    model = _model(db, cast("dict[str, Any]", output))
    settings = {"fmax_eV_per_A": output["protocol"]["fmax_eV_per_A"]}
    relaxed = _relaxed(db, model, cast("dict[str, Any]", output), settings)
    arrays = _blob(output["force_constants"])

    def of(structure: Structure, *more: str) -> Phonon:
        return phonon_record(
            structure,
            model,
            output["supercell_matrix"],
            output["primitive_matrix"],
            unit_cell_masses(structure.to_atoms()),
            arrays,
            output["protocol"],
            initial_structure=output["initial_structure"],
            defect=output["defect"] or {},
            relaxation=output["relaxation"],
            findings=[*output["findings"], *more],
            wall_time=output["wall_time"],
        )

    first = first_relaxation(db, relaxed) or relaxed
    phonon = of(first)
    apart = None
    if first.id != relaxed.id and first_phonon(db, phonon) is None:
        energy = float(output["relaxation"]["energy"])
        apart = relaxation_apart(db, first, relaxed, energy)
        if apart is not None:
            first, phonon = relaxed, of(relaxed, apart["message"])
    return Batch(
        blobs=[arrays.data],
        structures=[first],
        phonons=[phonon],
        findings=[apart] if apart else [],
    )


def phonon_record(
    structure: Structure,
    method: Any,
    supercell_matrix: Any,
    primitive_matrix: Any,
    masses: Any,
    arrays: Blob,
    protocol: dict[str, Any],
    *,
    response: DielectricResponse | None = None,
    response_from: str = "",
    moments: NDArray[np.float64] | None = None,
    **beside: Any,
) -> Phonon:
    """Make a sealed phonon record; `arrays` holds `force_constants`.

    Args:
        structure: unit cell.
        method: of the forces.
        supercell_matrix: (3, 3) integers.
        primitive_matrix: (3, 3).
        masses: (n,) amu.
        arrays: with `force_constants`.
        protocol: how they were made.
        response: Born charges and dielectric tensor, where they are known.
        response_from: the file that told them.
        moments: (n,) or (n, 3) muB.
        **beside: further fields of the record.
    """
    if response is not None:
        beside |= {
            "born": response.born,
            "epsilon_static": response.dielectric,
            "nac": response.settings() | ({"source": response_from} if response_from else {}),
        }
    if moments is not None:
        beside["magnetic_moments"] = np.asarray(moments, dtype=float).reshape(len(moments), -1)
    phonon = Phonon(
        structure=structure.id,
        method=method.id,
        method_class="model" if method.is_model else "dft",
        formula=structure.formula,
        supercell_matrix=np.asarray(supercell_matrix, dtype=int).tolist(),
        primitive_matrix=np.asarray(primitive_matrix, dtype=float).tolist(),
        masses=np.asarray(masses, dtype=float),
        n_atoms_supercell=structure.n_atoms
        * round(abs(np.linalg.det(np.asarray(supercell_matrix, dtype=float)))),
        force_constants=arrays.sha256,
        protocol=protocol,
        protocol_digest=content_digest({k: v for k, v in protocol.items() if k not in LATER}),
        identity=BY_INPUTS if method.is_model else None,
        **beside,
    )
    phonon.made_from("structure", "structures", structure.id)
    phonon.made_from("method", "methods", method.id)
    if host := (phonon.defect or {}).get("host"):
        phonon.made_from("host", "structures", host)
    return phonon.sealed()


READERS: dict[str, Callable[[Database, Any], Batch]] = {
    "structures": structures_batch,
    "curation": curation_batch,
    "model": model_batch,
    "predictions": predictions_batch,
    "relaxation": relaxation_batch,
    "phonon": phonon_batch,
}


def _relaxed(
    db: Database, model: ModelMethod, output: dict[str, Any], settings: dict[str, Any]
) -> Structure:
    """The record of a relaxed structure; it comes from the structure that was relaxed."""
    initial = db.structures.get(output["initial_structure"])
    return Structure.from_atoms(
        plain_atoms(output["structure"]),
        family=initial.family,
        kind=initial.kind,
        recipe={
            "operation": "relax",
            "parameters": {
                "method": model.id,
                **settings,
                "converged": output["relaxation"]["converged"],
                "steps": output["relaxation"]["steps"],
            },
            "seed": None,
            "parent": initial.id,
        },
    )


def _blob(value: Any) -> Blob:
    return value if isinstance(value, Blob) else Blob.from_dict(value)


def _model(db: Database, output: dict[str, Any]) -> ModelMethod:
    """The model's id follows from its content; its record must be there."""
    content = {"weights": output["weights_sha256"], "dtype": output["dtype"]}
    named = output.get("model")
    found = db.methods.one(**{"id": named} if named else {**content, "head": output["head"]})
    if not isinstance(found, ModelMethod):
        raise InputError(
            f"The model of weights {output['weights_sha256'][:10]} is not in the database.",
            hint="Collect the training that made it first.",
        )
    return found


def _dataset_id(db: Database, named: dict[str, Any] | None) -> str | None:
    if not named:
        return None
    found = db.datasets.one(name=named["name"], version=named["version"])
    if found is None:
        raise InputError(
            f"Dataset {named['name']}@{named['version']}, on which the model was trained, "
            "is not in the database.",
            hint="Collect the curation first.",
        )
    return str(found.id)
