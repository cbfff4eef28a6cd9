"""The models in the database: added from elsewhere, loaded, held to the contract."""

from __future__ import annotations

import time
from pathlib import Path

from ase import Atoms

from forcebase.database.database import Database
from forcebase.database.publishing import stored_model
from forcebase.digest import content_digest
from forcebase.ingest.batch import Batch
from forcebase.ingest.outputs import model_batch
from forcebase.models.contract import ContractReport, check_model
from forcebase.models.golden_probe import check_probe, probe_frames
from forcebase.models.loading import load_model
from forcebase.models.potential import Potential
from forcebase.models.sources import Source, read_source
from forcebase.records import Activity, ModelMethod, Structure


def add_model(db: Database, source: Source) -> ModelMethod:
    """Load a model from elsewhere and keep it; one that is there already is given as it is.

    Its weights go into the database, so that every job gets the very file that was added.

    Raises:
        InputError: no such kind, file, bundled model, callable or element.
        MissingDependencyError: the package is not installed.
        ModelError: the package cannot read the file.
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
    _keep(db, batch, activity, started)
    found = db.methods.get(batch.methods[0].id)
    assert isinstance(found, ModelMethod)
    return found


def _keep(db: Database, batch: Batch, activity: Activity, started: float) -> None:
    if not db.methods.count(id=batch.methods[0].id):
        batch.write(db, activity, started)


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
    loaded = open_model(db, model)
    if model.golden_probe:
        check_probe(model.golden_probe, loaded)
    atoms: Atoms = (
        structure.to_atoms() if structure else next(probe_frames(loaded.elements).atoms())
    )
    return check_model(loaded, atoms, lambda: open_model(db, model))
