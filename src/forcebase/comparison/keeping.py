"""Comparisons as records: found again when asked again on the same records."""

from __future__ import annotations

import time

from forcebase.database.database import Database
from forcebase.digest import content_digest
from forcebase.ingest.batch import Batch
from forcebase.records import Activity, Validation


def keep(db: Database, validation: Validation, name: str, started: float) -> Validation:
    """Store a sealed validation, or find the one there is.

    Args:
        db: the database.
        validation: sealed.
        name: of the activity.
        started: `time.perf_counter()` when the comparison began.
    """
    activity_id = content_digest({"comparison": validation.id})
    seconds = time.perf_counter() - started
    activity = Activity(id=activity_id, kind="comparison", name=name, wall_time=seconds)
    Batch(validations=[validation]).write(db, activity)
    return db.validations.get(validation.id)
