"""Neutral forms of the MACE models in a database: made, kept, and compared."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database as MongoDatabase

from forcebase.database.blobs import BlobStore
from forcebase.errors import ForcebaseError, IntegrityError, MissingDependencyError, ModelError
from forcebase.models.conversion import Converted, convert_mace
from forcebase.models.neutral_form import is_neutral
from forcebase.outputs import MACE
from forcebase.records.base import CHECKSUM, document_checksum

LOG = logging.getLogger(__name__)
METHODS = "methods"
LACKING = {"kind": MACE, "neutral": {"$exists": False}}


def convert_stored(database: MongoDatabase, model: Mapping[str, Any]) -> Converted:
    """Open the file of a stored MACE in a process of its own, and keep its neutral form.

    Where one is there already it is compared with that of the file.

    Args:
        database: MongoDB's.
        model: the stored document.

    Raises:
        IntegrityError: the file or the record was changed, or the neutral form is another's.
        MissingDependencyError: MACE is not installed.
        ModelError: the file is not a MACE that has a neutral form.
        NotFoundError: the file is not there.
    """
    if model["kind"] != MACE:
        raise ModelError(
            f"A {model['kind']} model has no neutral form.", hint="Only those of MACE have one."
        )
    weights = BlobStore(database).get(model["weights"])
    found = Converted(weights, 0.0, True) if is_neutral(weights) else convert_mace(weights)
    keep_neutral(database, model, found.neutral)
    return found


def keep_neutral(database: MongoDatabase, model: Mapping[str, Any], neutral: bytes) -> None:
    """Keep the neutral form of a stored model, and name it in its record.

    Raises:
        IntegrityError: the record was edited since it was written, or names another form.
    """
    short = model["_id"][:10]
    digest = BlobStore(database).put(neutral)
    if model.get("neutral", digest) != digest:
        raise IntegrityError(
            f"The neutral form of model {short} is not that of its file.",
            hint="Restore the model from a backup, or add it again from its file.",
            expected=digest,
            found=model["neutral"],
        )
    if model.get("neutral"):
        return
    if model.get(CHECKSUM) != document_checksum(model):
        raise IntegrityError(
            f"The record of model {short} was edited after it was written.",
            hint="`forcebase verify` tells more.",
        )
    changed = {**model, "neutral": digest}
    changed[CHECKSUM] = document_checksum(changed)
    same = {"_id": model["_id"], CHECKSUM: model[CHECKSUM]}
    update = UpdateOne(same, {"$set": {key: changed[key] for key in ("neutral", CHECKSUM)}})
    # while a migration runs, the server still has the validator of the version before
    database[METHODS].bulk_write([update], bypass_document_validation=True)


def convert_all(database: MongoDatabase) -> None:
    """Give each MACE that an earlier version wrote its neutral form; say which stay without one."""
    lacking = list(database[METHODS].find(LACKING))
    if lacking:
        LOG.warning(
            "Schema version 7: %d MACE models get a neutral form, half a minute each.", len(lacking)
        )
    for model in lacking:
        try:
            found = convert_stored(database, model)
        except MissingDependencyError as error:
            LOG.warning(
                "%s Until then its models cannot be loaded; afterwards `forcebase model convert "
                "MODEL` does so for each.",
                error,
            )
            return
        except ForcebaseError as error:
            LOG.warning("Model %s keeps only its file: %s", model["_id"][:10], error)
        else:
            for note in found.notes:
                LOG.warning("Model %s: %s", model["_id"][:10], note)


def same_models(database: MongoDatabase, ids: list[str]) -> dict[str, list[str]]:
    """Models whose numbers, architecture, precision and head are those of others.

    Such are files of one model that were saved twice.

    Args:
        database: MongoDB's.
        ids: of the models to look at.

    Returns:
        Id -> ids of the others, where there are any.
    """
    fields = {"neutral": 1, "dtype": 1, "head": 1}
    query = {"_id": {"$in": ids}, "neutral": {"$type": "string"}}
    asked = list(database[METHODS].find(query, fields))
    others = database[METHODS].find({"neutral": {"$in": [row["neutral"] for row in asked]}}, fields)
    by_answers: dict[tuple[Any, ...], list[str]] = {}
    for row in others:
        by_answers.setdefault(_answers(row), []).append(row["_id"])
    found = {r["_id"]: sorted(set(by_answers[_answers(r)]) - {r["_id"]}) for r in asked}
    return {model: same for model, same in found.items() if same}


def _answers(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["neutral"], row["dtype"], row.get("head")
