"""What jobs return: the contract between `makers` (which write it) and `ingest` (which reads it).

Every output is a plain dict whose `forcebase` key names its shape below. A job's input may be
another job's output, or a record published into the JobStore in the same shape, so a maker
cannot tell, and need not, whether its model was trained a minute ago or last year.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from forcebase.blob import Blob
from forcebase.digest import content_digest

MACE = "MACE"
"""The kind of models that are trained here, and that need no package's pickle."""


class StructureOrigin(TypedDict, total=False):
    """How a structure was made."""

    operation: str
    """One word per step, joined by "+": "strain+rattle", "vacancy", "relax"."""
    parameters: dict[str, Any]
    seed: int | None
    parent: str | None
    """Structure id of what it was made from."""


class StructureOutput(TypedDict):
    """One made structure: pymatgen's dict, its ancestry root and recipe."""

    structure: dict[str, Any]
    family: str
    kind: str
    recipe: StructureOrigin
    defect: NotRequired[DefectDescription]
    """Of a made cell."""


class StructuresOutput(TypedDict):
    """Structures made by a sampling job."""

    forcebase: Literal["structures"]
    structures: list[StructureOutput]


class CandidatesOutput(TypedDict):
    """Labelled structures, packed as `Frames`."""

    forcebase: Literal["candidates"]
    frames: Blob


class CurationStep(TypedDict):
    """One named step of a curation and what it did."""

    name: str
    parameters: dict[str, Any]
    n_in: int
    n_dropped: int


class Drop(TypedDict):
    """A calculation that is not in, and why."""

    calculation: str
    step: str
    reason: str
    copy_of: NotRequired[str]
    """Calculation that was kept in its place."""


class Member(TypedDict):
    """A calculation that is in, and where."""

    calculation: str
    structure: str
    family: str
    split: Literal["train", "valid", "test"]


E0sSource = Literal["fitted", "given", "isolated atoms"]


HEAVY = ("members", "dropped")
"""Parts of a curation's output that go to the store for heavy things, for a document of MongoDB
holds 16 MB: 55,000 members."""


class CurationOutput(TypedDict):
    """A dataset decided on: members with splits, drops with reasons, E0s."""

    forcebase: Literal["curation"]
    name: str
    version: int
    parent: str | None
    """Dataset id of the version before."""
    query: dict[str, Any]
    method: str
    members: list[Member]
    dropped: list[Drop]
    steps: list[CurationStep]
    e0s: dict[str, float]
    """Element symbol -> eV, of `method`."""
    e0s_source: E0sSource
    findings: NotRequired[list[str]]
    """What is to be known of the labels before they are trained on."""
    energy_kind: NotRequired[str | None]
    """Of the energies, see `forcebase.physics.energy_kinds`; None where it is not recorded."""
    wall_time: float


class GoldenProbe(TypedDict):
    """A fixed structure and what the model says of it, to notice a model that drifts."""

    structure: dict[str, Any]
    energy: float
    forces: list[list[float]]
    stress: list[float]


class ModelOutput(TypedDict):
    """A model: its weights and all that changes or explains its answers."""

    forcebase: Literal["model"]
    kind: str
    """MACE, or a kind that a package registered, see `forcebase.plugins`."""
    weights: Blob | None
    """The model's file; of a MACE only where it was made or added, for jobs load `neutral`."""
    weights_sha256: str
    neutral: NotRequired[Blob | None]
    """Of a MACE: its neutral form, see `forcebase.models.neutral_form`."""
    dtype: Literal["float64", "float32"]
    head: str | None
    elements: list[str]
    dataset: str | None
    """Dataset id, where one is known; a flow that curates and trains leaves it to `collect`."""
    dataset_job: dict[str, Any] | None
    e0s: dict[str, float]
    hyperparameters: dict[str, Any]
    seed: int | None
    n_parameters: int
    learning_curve: list[dict[str, float | None]]
    """One entry per epoch: epoch, loss, energy_mae (eV/atom), force_mae (eV/angstrom),
    stress_mae (eV/angstrom^3), all on the valid split, seconds since the start."""
    golden_probe: GoldenProbe
    package_versions: dict[str, str]
    wall_time: float
    arguments: NotRequired[dict[str, Any]]
    """What else changes the answers of a model of another package, as its kind spells it."""
    package: NotRequired[str | None]
    """Of another package: its name and version, part of the model's identity."""
    environment: NotRequired[dict[str, str]]
    """Of another package: where it ran when it was added."""
    parent: NotRequired[str | None]
    """Method id of the model that the training began from."""


def model_content(model: Mapping[str, Any], weights: str) -> dict[str, Any]:
    """What names a model: all that changes its answers.

    Args:
        model: a `ModelOutput` or a model's fields.
        weights: digest of its file.
    """
    content = {"kind": model["kind"], "weights": weights}
    content |= {"dtype": model["dtype"], "head": model["head"]}
    beyond = {name: model.get(name) for name in ("package", "arguments")}
    return {"model": {**content, **{name: value for name, value in beyond.items() if value}}}


def model_id(model: ModelOutput) -> str:
    """Id of the model's record."""
    return content_digest(model_content(model, model["weights_sha256"]))


class PredictionsOutput(TypedDict):
    """A model's labels for structures, packed as `Frames` (ids are structure ids)."""

    forcebase: Literal["predictions"]
    model: NotRequired[str]
    """Method id; records from before it was kept go by weights, dtype and head."""
    weights_sha256: str
    dtype: str
    head: str | None
    frames: Blob
    wall_times: list[float]
    """Seconds per structure: each batch's time shared out by atoms."""
    package_versions: dict[str, str]
    wall_time: float


class DefectDescription(TypedDict):
    """A point defect in a supercell, as a phonon's record keeps it."""

    name: str
    """As "v_Se"."""
    changes: list[str]
    """As "remove:26": sites of the perfect supercell, counted from 0."""
    centre: list[float]
    """(3,) fractional, in the supercell."""
    supercell_matrix: list[list[int]]
    """(3, 3): of the supercell over the host's cell, phonopy's convention."""
    host: str
    """Structure id of the perfect crystal's unit cell."""


class RelaxationOutput(TypedDict):
    """A structure relaxed with a model, converged or not."""

    forcebase: Literal["relaxation"]
    model: NotRequired[str]
    """Method id; records from before it was kept go by weights, dtype and head."""
    weights_sha256: str
    dtype: str
    head: str | None
    initial_structure: str
    """Structure id of the input."""
    structure: dict[str, Any]
    """The relaxed structure, pymatgen's dict."""
    defect: DefectDescription | None
    labels: Blob
    """Arrays `forces` (n, 3), eV/angstrom, and `stress` (6,), eV/angstrom^3, at its end."""
    settings: dict[str, Any]
    """fmax_eV_per_A."""
    relaxation: dict[str, Any]
    """converged, steps, energy (eV), max_force and max_gradient (eV/angstrom),
    stress (6, eV/angstrom^3), fixed_axes."""
    package_versions: dict[str, str]
    wall_time: float


class PhononOutput(TypedDict):
    """Force constants of one relaxed structure."""

    forcebase: Literal["phonon"]
    model: NotRequired[str]
    """Method id; records from before it was kept go by weights, dtype and head."""
    weights_sha256: str
    dtype: str
    head: str | None
    initial_structure: str
    """Structure id of the input."""
    structure: dict[str, Any]
    """The relaxed unit cell, pymatgen's dict."""
    supercell_matrix: list[list[int]]
    primitive_matrix: list[list[float]]
    force_constants: Blob
    """Array `force_constants`, compact (n_primitive, n_supercell, 3, 3), eV/angstrom^2."""
    defect: DefectDescription | None
    """Of what the unit cell is a supercell with a defect."""
    protocol: dict[str, Any]
    """What was asked for, and method, displacements, rows and errors of the force constants."""
    relaxation: dict[str, Any]
    """As in `RelaxationOutput`."""
    findings: list[str]
    """What is to be known before the phonon is trusted, with numbers."""
    package_versions: dict[str, str]
    wall_time: float
