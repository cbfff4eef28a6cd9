"""The models in the database: added from elsewhere, loaded, held to the contract."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

from ase import Atoms

from forcebase.database.database import Database
from forcebase.database.publishing import stored_model
from forcebase.database.trust import trust
from forcebase.digest import content_digest
from forcebase.errors import InputError
from forcebase.ingest.outputs import model_batch
from forcebase.models.contract import ContractReport, check_model
from forcebase.models.golden_probe import check_probe, load_checked, probe_frames
from forcebase.models.loading import load_model
from forcebase.models.potential import Potential
from forcebase.models.sources import Source, read_source
from forcebase.outputs import ModelOutput
from forcebase.records import Activity, ModelMethod, Structure


def add_model(db: Database, source: Source) -> ModelMethod:
    """Load a model from elsewhere and keep it; one that is there already is given as it is.

    Its weights go into the database, so that every job gets the very file that was added.

    Raises:
        InputError: no such kind, file, bundled model, callable or element.
        MissingDependencyError: the package is not installed.
        ModelError: the package cannot read the file, or one that is there gives other answers now.
    """
    started = time.perf_counter()
    output = read_source(source)
    batch = model_batch(db, output)
    activity = Activity(
        id=content_digest({"added model": batch.methods[0].id}),
        kind="import",
        name=f"model add {output['kind']} {Path(source.source).name}",
        source={"file": Path(source.source).name, "sha256": output["weights_sha256"]},
        package_versions=output["package_versions"],
    )
    known = cast("ModelMethod | None", db.methods.one(id=batch.methods[0].id))
    if known is None:
        batch.write(db, activity, started)
    else:
        _require_same(known, output)
        trust(db, known)  # its very file was given by hand
    found = db.methods.get(batch.methods[0].id)
    assert isinstance(found, ModelMethod)
    return found


def _require_same(known: ModelMethod, output: ModelOutput) -> None:
    """Make sure that what is added again is what is there: code may change under one name.

    Raises:
        InputError: it is said to know other elements.
        ModelError: its answers are others.
    """
    if set(output["elements"]) != set(known.elements):
        raise InputError(
            f"This model is there already, as {known.id[:10]}, and knows "
            f"{', '.join(known.elements)}.",
            hint="Give the same --elements, or add it with another keyword or weights.",
        )
    if known.golden_probe:
        check_probe(known.golden_probe, load_model(output))


def open_model(db: Database, model: ModelMethod) -> Potential:
    """Load a model from the database, its weights checked against their digest.

    Raises:
        IntegrityError: they are not those of the digest; nothing is loaded.
        MissingDependencyError: its package is not installed.
    """
    return load_model(stored_model(db, model))


def check_stored_model(
    db: Database, model: ModelMethod, structure: Structure | None = None
) -> ContractReport:
    """Hold a model to its golden probe and to the contract.

    Args:
        db: the database.
        model: its record.
        structure: to check on; by default two of the model's own elements.

    Raises:
        ModelError: the answers are no longer those of the golden probe.
    """
    loaded = load_checked(stored_model(db, model))
    atoms: Atoms = (
        structure.to_atoms() if structure else next(probe_frames(loaded.elements).atoms())
    )
    return check_model(loaded, atoms, lambda: open_model(db, model))
