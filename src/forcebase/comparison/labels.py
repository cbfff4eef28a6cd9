"""Energies, forces and stress of one method held to those of another."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from forcebase.comparison.joining import join
from forcebase.comparison.keeping import keep
from forcebase.comparison.leakage import leakage
from forcebase.database.database import Database
from forcebase.datasets import check_split
from forcebase.digest import merkle_root
from forcebase.physics.metrics import compare_frames
from forcebase.physics.shell_errors import compare_forces_by_shell
from forcebase.physics.shells import Shells
from forcebase.records import Dataset, Method, Structure, Validation


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
    return keep(db, validation.sealed(), "compare labels", started)
