"""Jobs that failed, as records: what went wrong stays to be found when the queue is long empty."""

from __future__ import annotations

from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection

from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS, QUEUE
from forcebase.digest import content_digest
from forcebase.records import Activity, Run
from forcebase.records.activity import FINISHED
from forcebase.records.base import CHECKSUM, utc_now

FAILED = ("FAILED", "REMOTE_ERROR")
"""Of jobflow-remote's states, those of a job that did not do what it was to do."""
_HAS_FAILED = {"state": {"$in": list(FAILED)}}
FAILURE = "failure"
LONGEST = 20_000
"""Characters of an error that are kept, from its end: an exception says last what it is."""


def failure(
    name: str, job: dict[str, Any], error: str, time: Any = None, attempt: Any = None
) -> Activity:
    """Make the record of a job that failed.

    Args:
        name: of the job.
        job: uuid, index, and whatever helps to find its files.
        error: what it said.
        time: UTC, of its end; now by default.
        attempt: what tells one try of the job from another; the time by default.
    """
    key = content_digest([error, str(attempt or time)])[:12]
    return Activity(
        id=f"{job['uuid']}:{job['index']}:{FAILURE}:{key}",
        kind=FAILURE,
        name=name,
        job=job,
        error=error[-LONGEST:],
        resolved=False,
        finished_at=time or utc_now(),
        run=Run(state=FINISHED, started_at=utc_now()),
    )


def collect_failures(
    db: Database, which: dict[str, Any] | None = None, queue: Collection | None = None
) -> list[Activity]:
    """Make records of a queue's failed jobs; those that are new.

    Args:
        db: the database.
        which: a query that says which of the queue's jobs; all by default.
        queue: jobs of jobflow-remote; those of the database by default, where there are some.
    """
    jobs = db.raw[QUEUE] if queue is None else queue
    failed = jobs.find({**(which or {}), **_HAS_FAILED}, {"job.function_args": 0})
    found = [_of_queue(document) for document in failed]
    known = db.activities.by_ids([activity.id for activity in found], {"_id": 1})
    names = {document["_id"] for document in known}
    new = [activity for activity in found if activity.id not in names]
    db.activities.add(new)
    return new


def mark_resolved(db: Database) -> None:
    """Note which jobs that had failed have ended well since: their output is in the JobStore."""
    failures = list(db.activities.raw.find({"kind": FAILURE, "resolved": False}))
    if not failures:
        return
    of_them = {"uuid": {"$in": [found["job"]["uuid"] for found in failures]}}
    fields = {"uuid": 1, "index": 1}
    done = {_named(output) for output in db.raw[OUTPUTS].find(of_them, fields)}
    # a runner may have failed after it had stored an output
    done -= {_named(job) for job in db.raw[QUEUE].find({**of_them, **_HAS_FAILED}, fields)}
    resolved = [found for found in failures if _named(found["job"]) in done]
    if resolved:
        db.activities.raw.bulk_write([_resolving(found) for found in resolved], ordered=False)


def _resolving(failure: dict[str, Any]) -> UpdateOne:
    checksum = Activity.checksum_of({**failure, "resolved": True})
    change = {"resolved": True, CHECKSUM: checksum}
    return UpdateOne({"_id": failure["_id"], "resolved": False}, {"$set": change})


def _named(job: dict[str, Any]) -> tuple[str, int]:
    return job["uuid"], job["index"]


def _of_queue(document: dict[str, Any]) -> Activity:
    job = {
        "uuid": document["uuid"],
        "index": document["index"],
        "number": str(document["db_id"]),
        "state": document["state"],
        "worker": document["worker"],
        "folder": document.get("run_dir"),
    }
    error = document.get("error") or (document.get("remote") or {}).get("error") or "no word of it"
    time = document.get("end_time") or document["updated_on"]
    attempt = document["updated_on"]
    if document["state"] == "FAILED":  # what is updated once more as the runner lets go of it
        began = document.get("start_time") or (document.get("remote") or {}).get("process_id")
        attempt = document.get("end_time") or began
    return failure(document["job"]["name"], job, error, time, attempt)
