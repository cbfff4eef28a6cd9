"""The models in the database: added from elsewhere, loaded, given back, checked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, cast

from ase import Atoms

from forcebase.database.database import Database
from forcebase.database.neutral_models import convert_stored, keep_neutral
from forcebase.database.publishing import stored_model
from forcebase.database.trust import require_runnable, trust
from forcebase.digest import content_digest
from forcebase.errors import AccessError, InputError, NotFoundError
from forcebase.ingest.outputs import model_batch
from forcebase.models.contract import ContractReport, check_model
from forcebase.models.golden_probe import check_probe, load_checked, probe_frames
from forcebase.models.loading import load_model
from forcebase.models.network_form import pickled
from forcebase.models.potential import Potential
from forcebase.models.sources import NO_WEIGHTS, Source, read_source
from forcebase.outputs import MACE, ModelOutput
from forcebase.paths import unwritable
from forcebase.records import Activity, ModelMethod, Structure
from forcebase.scratch import appearing


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
        if neutral := output.get("neutral"):
            keep_neutral(db.raw, _stored(db, known.id), neutral.data)
        trust(db, known)  # its very file was given by hand
    return _model(db, batch.methods[0].id)


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


def require_converting(db: Database, model: ModelMethod) -> None:
    """Before a file is opened: whether its neutral form may be named in the record.

    Raises:
        AccessError: only an admin of a group's database changes a record.
    """
    if model.kind == MACE and not model.neutral and not db.access.may({"update"}, "methods"):
        raise AccessError(
            f"{db.access.who} may not give {model.title} its neutral form, which changes a record.",
            hint=f"Ask an admin of the database: forcebase model convert {model.id[:10]}",
        )


def convert_model(db: Database, model: ModelMethod) -> tuple[ModelMethod, list[str]]:
    """Open the file of a MACE, which may run code, in a process of its own; keep its neutral form.

    Where there is one already it is compared with the file's. The golden probe, where there is
    one, is asked of it.

    Returns:
        The model as it is now, and what is to be said of the conversion.

    Raises:
        IntegrityError: the file is not what it was, or the neutral form is not the file's.
        AccessError: it has none yet, and the user is not an admin of the group's database.
        ModelError: it came in an archive and was not trusted, is not a MACE that has a neutral
            form, or answers otherwise than its probe.
    """
    require_runnable(db, model)
    require_converting(db, model)
    found = convert_stored(db.raw, _stored(db, model.id))
    converted = _model(db, model.id)
    load_checked(stored_model(db, converted))
    return converted, found.notes


def export_model(
    db: Database, model: ModelMethod, target: Path, form: Literal["model", "neutral"] = "model"
) -> str:
    """Write a model's file, for ASE, LAMMPS or its own package; say which file it is.

    Args:
        db: the database.
        model: its record.
        target: a new file.
        form: `model`, the very file that was added or trained; where only the neutral form of a
            MACE is there, one that MACE writes now. `neutral`: the neutral form.

    Raises:
        InputError: there is no such file of this model, or `target` is there already.
        ModelError: the neutral form is damaged.
    """
    if target.exists():
        raise InputError(f"{target} is there already.", hint="Give another name.")
    if form == "neutral":
        if not model.neutral:
            raise InputError(
                f"Model {model.id[:10]} has no neutral form.",
                hint="Models of other packages than MACE have none: --format model.",
            )
        data, what = db.blobs.get(model.neutral), "its neutral form"
    elif model.weights in db.blobs and model.weights != model.neutral:
        data, what = db.blobs.get(model.weights), "the file that was given"
        if data == NO_WEIGHTS:
            raise InputError(
                f"Model {model.id[:10]} has no file: it is {model.arguments['callable']}."
            )
    elif model.neutral:
        data, what = pickled(db.blobs.get(model.neutral)), "made from its neutral form"
    else:
        raise NotFoundError(
            f"The file of model {model.id[:10]} is not in the database.",
            hint="Restore it from a backup.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as file:
            file.write(data)
    except OSError as error:
        raise unwritable(target, error) from None
    return what


def _stored(db: Database, model_id: str) -> dict[str, Any]:
    """The model as MongoDB keeps it."""
    found: dict[str, Any] = db.methods.raw.find_one({"_id": model_id}) or {}
    return found


def _model(db: Database, model_id: str) -> ModelMethod:
    found = db.methods.get(model_id)
    assert isinstance(found, ModelMethod)
    return found


def open_model(db: Database, model: ModelMethod) -> Potential:
    """Load a model from the database, its weights checked against their digest.

    Raises:
        IntegrityError: they are not those of the digest; nothing is loaded.
        MissingDependencyError: its package is not installed.
    """
    return load_model(stored_model(db, model))


def not_reproduced(db: Database, model: ModelMethod) -> list[str]:
    """What a model did not give again in this database, one line each, the newest first."""
    found = db.activities.find({"findings.model": model.id}, sort="-finished_at")
    return [
        said["message"]
        for activity in found
        for said in activity.findings
        if said.get("model") == model.id
    ]


def check_stored_model(
    db: Database, model: ModelMethod, structure: Structure | None = None
) -> ContractReport:
    """Check a model against its golden probe and the contract.

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
