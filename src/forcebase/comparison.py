"""Any model against any reference: a join on the structure, kept as a validation record."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forcebase.database.database import Database
from forcebase.database.reading import read_frames
from forcebase.datasets import check_split
from forcebase.digest import content_digest, merkle_root
from forcebase.errors import InputError, NotFoundError
from forcebase.frames import Frames
from forcebase.ingest.batch import Batch
from forcebase.physics.metrics import compare_frames
from forcebase.physics.phonon_comparison import check_protocols, compare_bands, compare_dos
from forcebase.physics.shell_errors import compare_forces_by_shell
from forcebase.physics.shells import Shells
from forcebase.records import Activity, Dataset, Method, ModelMethod, Phonon, Structure, Validation
from forcebase.spectra import crystal_of, spectra_of


@dataclass(frozen=True)
class Pairs:
    """Both sides of a comparison of labels, row for row the same structures."""

    model: Frames
    reference: Frames
    missing: list[str]
    """Structure ids that the reference has and the model was never asked for."""


def join(db: Database, model: Method, reference: Method, structures: Mapping[str, Any]) -> Pairs:
    """Read the calculations of both methods on the same structures.

    Args:
        db: the database.
        model: one method.
        reference: the other.
        structures: a MongoDB query on `calculations` of the reference; {} for all.

    Raises:
        NotFoundError: the two have no structure in common.
    """
    right = _one_per_structure(read_frames(db, {"method": reference.id, **structures}))
    wanted = {"method": model.id, "structure": {"$in": right.structures.tolist()}}
    left = _one_per_structure(read_frames(db, wanted))
    place = {structure: i for i, structure in enumerate(left.structures)}
    common = [i for i, s in enumerate(right.structures) if s in place]
    missing = [str(s) for s in right.structures if s not in place]
    if not common:
        raise NotFoundError(
            f"{model.title} and {reference.title} have no structure in common here.",
            hint=f"`forcebase predict {model.id[:10]} ...` computes the model's side.",
            missing=missing,
        )
    kept = right.take(common)
    return Pairs(left.take([place[s] for s in kept.structures]), kept, missing)


def compare_labels(
    db: Database,
    model: Method,
    reference: Method,
    *,
    dataset: Dataset | None = None,
    split: str | None = None,
    query: Mapping[str, Any] | None = None,
    host: Structure | None = None,
    shells: Shells | None = None,
) -> Validation:
    """Energies, forces and stress of `model` held to `reference`.

    The result is a validation record: asked again on the same records, it is found again.
    With a host, it holds the errors of forces by distance from the defect too, as
    `forces_by_shell`: see `forcebase.physics.shell_errors`.

    Args:
        db: the database.
        model: the method that is judged.
        reference: the method it is held to.
        dataset: compare on its members only.
        split: one split of the dataset.
        query: or on the reference calculations that a MongoDB query finds.
        host: unit cell of the perfect crystal of which all structures are supercells, with or
            without a defect.
        shells: of distance from the defect, as `Shells()` where none are given.

    Raises:
        InputError: a structure is no supercell of the host.
    """
    started = time.perf_counter()
    check_split(split)
    selection = dict(query or {})
    if dataset is not None:
        rows = db.members.raw.find(
            {"dataset": dataset.id, "split": split or {"$ne": "dropped"}}, {"calculation": 1}
        )
        selection["_id"] = {"$in": [row["calculation"] for row in rows]}
    pairs = join(db, model, reference, selection)
    metrics = compare_frames(pairs.model, pairs.reference).as_dict()
    on: dict[str, Any] = {
        "dataset": dataset.title if dataset else None,
        "split": split,
        "query": {str(k).replace("$", ""): str(v) for k, v in (query or {}).items()},
        "n_missing": len(pairs.missing),
    }
    if host is not None:
        shells = shells or Shells()
        by_shell = compare_forces_by_shell(pairs.model, pairs.reference, host.to_atoms(), shells)
        metrics["forces_by_shell"] = [asdict(row) for row in by_shell]
        on |= {"host": host.id, "edges": list(shells.edges)}
    validation = Validation(
        kind="labels",
        model=model.id,
        reference=reference.id,
        on=on,
        inputs_root=merkle_root([*map(str, pairs.model.ids), *map(str, pairs.reference.ids)]),
        n=len(pairs.reference),
        metrics=metrics,
        leakage=leakage(db, model, pairs.reference),
    )
    validation.made_from("model", "methods", model.id)
    validation.made_from("reference", "methods", reference.id)
    if dataset is not None:
        validation.made_from("on", "datasets", dataset.id)
    if host is not None:
        validation.made_from("host", "structures", host.id)
    return _keep(db, validation.sealed(), "compare labels", started)


def leakage(db: Database, model: Method, frames: Frames) -> dict[str, int]:
    """How many of the structures the model was trained on, has near copies of, or never saw."""
    dataset_id = model.dataset if isinstance(model, ModelMethod) else None
    seen_structures: set[str] = set()
    seen_families: set[str] = set()
    if dataset_id:
        seen = {"dataset": dataset_id, "split": {"$in": ["train", "valid"]}}
        for row in db.members.raw.find(seen):
            seen_structures.add(row["structure"])
            seen_families.add(row["family"])
    trained = np.isin(frames.structures, list(seen_structures))
    related = np.isin(frames.families, list(seen_families)) & ~trained
    return {
        "n_in_training": int(trained.sum()),
        "n_same_family": int(related.sum()),
        "n_new": int((~trained & ~related).sum()),
    }


def compare_phonons(db: Database, model: Phonon, reference: Phonon) -> Validation:
    """Bands, DOS and projected DOS of two phonons of one formula and supercell.

    Raises:
        InputError: the two differ in formula, supercell or another part of the protocol that
            changes the answer.
    """
    started = time.perf_counter()
    if model.formula != reference.formula:
        raise InputError(f"A phonon of {model.formula} cannot be held to {reference.formula}.")
    left, right = crystal_of(db, model), crystal_of(db, reference)
    check_protocols(left, right)
    spectra = spectra_of(left, right)
    bands = compare_bands(spectra.model_bands, spectra.reference_bands)
    dos = compare_dos(spectra.model_dos, spectra.reference_dos)
    validation = Validation(
        kind="phonons",
        model=model.method,
        reference=reference.method,
        on={
            "model_phonon": model.id,
            "reference_phonon": reference.id,
            "path": "-".join(spectra.path.labels),
            "mesh": list(spectra.mesh),
        },
        inputs_root=merkle_root([model.id, reference.id]),
        n=len(spectra.path.q_points),
        metrics={**bands.as_dict(), **dos.as_dict()},
    )
    validation.made_from("model phonon", "phonons", model.id)
    validation.made_from("reference phonon", "phonons", reference.id)
    return _keep(db, validation.sealed(), "compare phonons", started)


def _one_per_structure(frames: Frames) -> Frames:
    """The first of replicates, by id; their spread is the noise floor, not an error."""
    _, first = np.unique(frames.structures, return_index=True)
    return frames.take(np.sort(first))


def _keep(db: Database, validation: Validation, name: str, started: float) -> Validation:
    activity_id = content_digest({"comparison": validation.id})
    seconds = time.perf_counter() - started
    activity = Activity(id=activity_id, kind="comparison", name=name, wall_time=seconds)
    Batch(validations=[validation]).write(db, activity)
    return db.validations.get(validation.id)


def compare(
    db: Database,
    model: str,
    reference: str,
    on: str | Mapping[str, Any] | None = None,
    *,
    host: str | None = None,
    edges: Sequence[float] | None = None,
) -> Validation:
    """Hold one record to another: method to method on common structures, or phonon to phonon.

    Args:
        db: the database.
        model: id, name or tag of a method or phonon.
        reference: the same kind of record.
        on: for methods: "dataset", "dataset:split", or keyword arguments of
            `db.calculations.find`; None for all structures that both have labelled.
        host: for methods: unit cell of the perfect crystal, as id or name; adds the errors of
            forces by distance from the defects.
        edges: of the shells of distance, angstrom; only with a host.

    Raises:
        InputError: a method and a phonon cannot be compared, there is no such split, or a
            structure is no supercell of the host.
    """
    if edges is not None and host is None:
        raise InputError("Shells need to know where the defects are.", hint="Give the host too.")
    place, left = db.resolve(model)
    other_place, right = db.resolve(reference)
    if isinstance(left, Phonon) and isinstance(right, Phonon):
        if on is not None or host is not None:
            raise InputError("Phonons are compared whole: leave `on` and `host` out.")
        return compare_phonons(db, left, right)
    if not (isinstance(left, Method) and isinstance(right, Method)):
        raise InputError(
            f"{model!r} is in {place} and {reference!r} in {other_place}.",
            hint="Compare a method with a method, or a phonon with a phonon.",
        )
    around: dict[str, Any] = {}
    if host is not None:
        shells = None if edges is None else Shells(tuple(edges))
        around = {"host": db.require_structure(host), "shells": shells}
    if isinstance(on, str):
        name, _, split = on.partition(":")
        dataset = db.resolve(name, "datasets")[1]
        if not isinstance(dataset, Dataset):
            raise InputError(f"{name!r} is no dataset.")
        return compare_labels(db, left, right, dataset=dataset, split=split or None, **around)
    return compare_labels(db, left, right, query=db.calculations.selector(**(on or {})), **around)
