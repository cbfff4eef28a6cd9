"""Names that whoever launches a job wants its record to have, given when it is collected."""

from __future__ import annotations

from typing import Any

from jobflow import Job

from forcebase.database.database import Database
from forcebase.ingest.batch import Batch

WANTED = "forcebase_name"
"""In the metadata of a job: it goes with it to any worker, and comes back beside the output."""


def want_name(job: Job, name: str) -> None:
    """Have the model that a job makes named when it is collected."""
    job.update_metadata({WANTED: name})


def give_name(db: Database, job: dict[str, Any], batch: Batch) -> None:
    """Name the one model of a job's batch as was wanted; the name moves if another one has it."""
    name = (job.get("metadata") or {}).get(WANTED)
    if name and len(batch.methods) == 1:
        db.labels.name(name, "methods", batch.methods[0].id)
