"""Names that whoever launches a job wants its record to have, given when it is collected."""

from __future__ import annotations

from typing import Any

from jobflow import Job

from forcebase.database.acts import done_among
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch

WANTED = "forcebase_name"
"""In the metadata of a job: it goes with it to any worker, and comes back beside the output."""


def want_name(job: Job, name: str) -> None:
    """Have the model that a job makes named when it is collected."""
    job.update_metadata({WANTED: name})


def give_name(db: Database, job: dict[str, Any], activity: str, batch: Batch) -> str | None:
    """Name the one model of a job's batch as was wanted, before the job counts as done.

    The name moves if another record has it; whoever collects the job once more moves nothing.

    Args:
        db: the database.
        job: with its metadata, which may be anybody's.
        activity: id of the job's activity.
        batch: whose records are written.

    Returns:
        Why the model has not the name, where it cannot.
    """
    name = (job.get("metadata") or {}).get(WANTED)
    models = [method for method in batch.methods if method.is_model]
    if name is None or len(models) != 1 or done_among(db, [activity], whole=False):
        return None
    try:
        db.names.name(name, "methods", models[0].id)
    except InputError as error:
        return f"it has no name: {error.message}"
    return None
