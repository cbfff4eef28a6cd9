"""Which models may run: those made or added here, and those of an archive that somebody trusted.

A model's file may be a pickle, and a calculator is a callable of any name: both run code. What an
archive brought is in quarantine: it can be looked at, compared and exported, and nothing of it
runs. `may_run` is what every way to a model asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne

from forcebase.database.database import Database
from forcebase.errors import InputError, ModelError
from forcebase.models.third_party.ase_calculator import CALLABLE_PACKAGES, package_of
from forcebase.outputs import MACE
from forcebase.records import ModelMethod, Quarantine
from forcebase.records.base import CHECKSUM, utc_now
from forcebase.records.journal_entry import Act

ASE = "ASE"
_PLACE = Quarantine._meta["collection"]


@dataclass(frozen=True)
class WhatRuns:
    """What using a model runs.

    Attributes:
        model: its id.
        kind: as MACE, ASE.
        package: of a model of another package, with its version.
        callable: of an ASE calculator, as module:name.
        keywords: that the callable is given.
        weights: SHA-256 of its file.
        origin: the file that it came in; "" where it was made or added here.
    """

    model: str
    kind: str
    package: str
    callable: str
    keywords: dict[str, Any]
    weights: str
    origin: str


def what_runs(db: Database, model: ModelMethod) -> WhatRuns:
    """Say what using a model runs."""
    arguments = dict(model.arguments or {})
    called = str(arguments.get("callable", "")) if model.kind == ASE else ""
    found = db.raw[_PLACE].find_one({"_id": model.id}) or {}
    return WhatRuns(
        model=model.id,
        kind=model.kind,
        package=model.package or "",
        callable=called,
        keywords=dict(arguments.get("keywords") or {}) if called else arguments,
        weights=model.weights,
        origin=found.get("origin", ""),
    )


def may_run(db: Database, model: ModelMethod) -> str | None:
    """Give the reason why a model must not run; None where it may.

    A MACE in its neutral form is numbers and an architecture, and runs nothing of its own.
    """
    if _is_neutral({"kind": model.kind, "neutral": model.neutral}):
        return None
    found = db.raw[_PLACE].find_one({"_id": model.id, "trusted_at": None})
    if found is None:
        return None
    return f"it came in {found['origin']}, and nobody here has trusted it yet"


def require_runnable(db: Database, model: ModelMethod) -> None:
    """Refuse a model that must not run.

    Raises:
        ModelError: it came in an archive, and was not trusted.
    """
    if reason := may_run(db, model):
        raise ModelError(
            f"{model.title} does not run: {reason}.",
            hint=f"`forcebase model trust {model.id[:10]}` shows what it would run, and asks.",
        )


def quarantine(db: Database, models: Iterable[str], origin: str, by: str | None = None) -> None:
    """Keep models from running until they are trusted; those that are known stay as they are.

    Args:
        db: the database.
        models: ids, of which none is in the database yet: what is there may run already.
        origin: where they come from, for people.
        by: id of the import that brings them.
    """
    entries = [
        Quarantine(id=model, origin=origin, since=utc_now()).to_mongo().to_dict()
        for model in models
    ]
    if entries:
        db.raw[_PLACE].bulk_write(
            [UpdateOne({"_id": e["_id"]}, {"$setOnInsert": e}, upsert=True) for e in entries]
        )
        ids = [entry["_id"] for entry in entries]
        db.journal.note(Act.QUARANTINE, origin, ModelMethod.collection_name(), ids, activity=by)


def require_known_callable(runs: WhatRuns, named: str | None) -> None:
    """Refuse to trust a callable of a package that is not known, unless the user named it.

    Raises:
        InputError: it is of another package, or the user named another one.
    """
    if named is not None and named != runs.callable:
        raise InputError(f"It would not run {named}, but {runs.callable or runs.kind}.")
    if runs.callable and named is None and package_of(runs.callable) not in CALLABLE_PACKAGES:
        raise InputError(
            f"It would run {runs.callable}, of no package that is known for calculators.",
            hint=f"If you know what that does: --callable {runs.callable}",
        )


def trust(db: Database, model: ModelMethod) -> None:
    """Let a model run from now on; one that may already is left as it is."""
    query = {"_id": model.id, "trusted_at": None}
    found = db.raw[_PLACE].find_one(query)
    if found is not None:
        found["trusted_at"] = utc_now()
        change = {"trusted_at": found["trusted_at"], CHECKSUM: Quarantine.checksum_of(found)}
        db.raw[_PLACE].update_one(query, {"$set": change})
        db.journal.note(Act.TRUST, found["origin"], ModelMethod.collection_name(), [model.id])


def waiting(db: Database) -> list[str]:
    """Ids of the models in the database that nobody trusted yet."""
    ids = [found["_id"] for found in db.raw[_PLACE].find({"trusted_at": None}, {"_id": 1})]
    found = db.methods.by_ids(ids, {"kind": 1, "neutral": 1})
    return sorted(model["_id"] for model in found if not _is_neutral(model))


def _is_neutral(model: Mapping[str, Any]) -> bool:
    return model["kind"] == MACE and bool(model.get("neutral"))
