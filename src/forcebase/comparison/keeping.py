"""Comparisons as records: found again when asked again on the same records."""

from __future__ import annotations

import time

from forcebase.database.access import refusals_told
from forcebase.database.database import Database
from forcebase.digest import content_digest
from forcebase.errors import IntegrityError
from forcebase.ingest.batch import Batch
from forcebase.records import Activity, Validation
from forcebase.records.base import CHECKSUM


def find(db: Database, asked: Validation) -> Validation | None:
    """Find the comparison of the same two sides, on the same records, asked in the same way."""
    same = {name: getattr(asked, name) for name in ("kind", "model", "reference", "inputs_root")}
    for found in db.validations.find(same):
        if dict(found.on) == dict(asked.on):
            return found
    return None


def with_inputs(db: Database, known: Validation, inputs: bytes) -> Validation:
    """Give a comparison of before schema 8 the list of what went in; its root is the same."""
    if known.inputs or not db.access.may_write:
        return known
    row = db.validations.raw.find_one({"_id": known.id})
    if row is None:
        return known
    row["inputs"] = db.blobs.put(inputs)
    change = {"inputs": row["inputs"], CHECKSUM: Validation.checksum_of(row)}
    with refusals_told(db.raw):
        db.validations.raw.update_one({"_id": known.id}, {"$set": change})
    return db.validations.get(known.id)


def keep(
    db: Database,
    validation: Validation,
    name: str,
    started: float,
    known: Validation | None = None,
    inputs: bytes | None = None,
) -> Validation:
    """Store a sealed validation, or find the one there is.

    Who may only read the database gets the numbers, and nothing is stored.

    Args:
        db: the database.
        validation: sealed.
        name: of the activity.
        started: `time.perf_counter()` when the comparison began.
        known: the record of it that there was before it was computed again.
        inputs: of labels, the blob that `validation.inputs` names.

    Raises:
        IntegrityError: computed again, it is not what the record says.
    """
    if known is not None and {known.id, known.digest()} != {validation.id}:
        raise IntegrityError(
            f"Computed again, the comparison is not what record {known.id[:10]} says.",
            hint="Run `forcebase verify`; another version of a package may round otherwise.",
            expected=known.id,
            found=validation.id,
        )
    if not db.access.may_write:
        validation.unstored_inputs = inputs
        return known or validation
    activity_id = content_digest({"comparison": validation.id})
    seconds = time.perf_counter() - started
    activity = Activity(id=activity_id, kind="comparison", name=name, wall_time=seconds)
    blobs = [] if inputs is None else [inputs]
    Batch(validations=[validation], blobs=blobs).write(db, activity)
    return db.validations.get(validation.id)
