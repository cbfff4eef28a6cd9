"""From the JobStore to records: as often as one likes, with no duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.errors import ConnectionFailure, PyMongoError

from forcebase.database.acts import done_among, keep
from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS, output_digest
from forcebase.database.publishing import PUBLISHED
from forcebase.errors import AccessError, ForcebaseError, VersionTakenError
from forcebase.ingest.failures import FAILURE, collect_failures, mark_resolved
from forcebase.ingest.job_documents import UnsaidMethodError, document_batch
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.reasons import in_words
from forcebase.ingest.wanted_names import give_name
from forcebase.records import Activity
from forcebase.records.base import utc_now

OnJob = Callable[[str, int, int], None]
"""Told (job name, jobs done, jobs in all)."""


@dataclass
class CollectReport:
    """What a collection did.

    Attributes:
        jobs: number of jobs turned into records.
        names: of these jobs.
        added: new records per collection.
        unknown: names of jobs whose output is of no known shape.
        failed: (job name, reason) of outputs that could not be used.
        failures: (job name, reason) of jobs in the queue that are new as failed.
        findings: what models did not give again, one line each.
    """

    jobs: int = 0
    names: list[str] = field(default_factory=list)
    added: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    """(file or job, what is to be known of its labels)."""
    unread: list[Any] = field(default_factory=list, repr=False)
    """`_id` of the outputs that could not be used: what they need may come."""

    def add(self, counts: dict[str, int]) -> None:
        """Count new records in."""
        for name, n in counts.items():
            self.added[name] = self.added.get(name, 0) + n


def collect(
    db: Database,
    on_job: OnJob | None = None,
    documents: Sequence[Any] | None = None,
    failed_jobs: Sequence[Any] | None = None,
) -> CollectReport:
    """Turn finished outputs that were not collected yet into records, and failed jobs too.

    Collectors may run side by side and be killed at any point: records are named by their
    content, and a job is done when its activity, which comes last, is there.

    Args:
        db: the database, whose JobStore is read.
        on_job: called with (job name, jobs done, jobs in all).
        documents: only these outputs, by their `_id`; all by default.
        failed_jobs: only these of the queue's jobs, by their `_id`; all by default.
    """
    report = CollectReport()
    waiting = list(_waiting(db, documents))
    for done, job in enumerate(waiting):
        _collect_job(db, job, report)
        if on_job:
            on_job(job["name"] or "job", done + 1, len(waiting))
    which = {} if failed_jobs is None else {"_id": {"$in": list(failed_jobs)}}
    found = collect_failures(db, which)
    mark_resolved(db)
    report.failures = [(activity.name, activity.reason) for activity in found]
    return report


def _waiting(db: Database, documents: Sequence[Any] | None) -> Iterator[dict[str, Any]]:
    """Finished jobs without an activity, oldest first: parents come before children."""
    fields = ["_id", "uuid", "index", "name", "completed_at", "metadata"]
    criteria: dict[str, Any] = {f"metadata.{PUBLISHED}": {"$exists": False}}
    if documents is not None:
        criteria["_id"] = {"$in": list(documents)}
    found = list(db.job_store.docs_store.query(criteria, fields, sort={"completed_at": 1}))
    ids = [_activity_id(job) for job in found]
    done = done_among(db, ids, whole=documents is None)  # a watch asks for a few, all the time
    return (job for job in found if _activity_id(job) not in done)


def _collect_job(db: Database, job: dict[str, Any], report: CollectReport) -> None:
    name = job.get("name") or "job"
    try:
        job["sha256"] = _stored_digest(db, job)
        document = db.job_store.query_one({"_id": job["_id"]}, load=True)
        output: Any = (document or {}).get("output")
        batch = document_batch(db, document)
        if batch is not None and not str(output.get("forcebase") or ""):
            check_labels(batch)
        if batch is None:
            if not _is_passed_on(output):
                report.unknown.append(name)
            return
        for model in batch.methods:  # its dataset may be forgotten while it trains elsewhere
            for edge in model.provenance.edges:
                batch.needed.setdefault(edge.collection, set()).add(edge.record)
        activity = _activity(db, job, output)
        unnamed: list[str] = []

        def name_model() -> None:
            unnamed.extend(filter(None, [give_name(db, job, activity.id, batch)]))

        report.add(batch.write(db, activity, before_end=name_model))
        report.notes += [(name, why) for why in unnamed]
        report.findings += activity.messages
        report.notes += [(name, note) for note in batch.notes]
        report.jobs += 1
        report.names.append(name)
    except AccessError:
        raise
    except VersionTakenError as error:  # for good: told once, or every collection would fail
        keep(db, _activity_without_records(db, job, output, str(error)))
        report.failed.append((name, str(error)))
    except UnsaidMethodError as error:  # as for a shape that is not known, and it may be imported
        report.notes.append((name, f"no record was made of it: {error}"))
    except ForcebaseError as error:
        if isinstance(error.__cause__, ConnectionFailure):  # not this job's fault, and the next's
            raise
        report.failed.append((name, str(error)))
        report.unread.append(job["_id"])
    except PyMongoError:
        raise
    except Exception as error:  # whatever a foreign job put under names that we know
        report.failed.append((name, f"its output is not as expected: {in_words(error)}"))
        report.unread.append(job["_id"])


def _is_passed_on(output: Any) -> bool:
    """Whether it only points to other jobs' outputs: a job that made jobs leaves such a list."""
    found = output if isinstance(output, list) else [output]
    return all(
        item is None or (isinstance(item, dict) and item.get("@class") == "OutputReference")
        for item in found
    )


def _activity(db: Database, job: dict[str, Any], output: dict[str, Any]) -> Activity:
    completed = job.get("completed_at")
    return Activity(
        id=_activity_id(job),
        kind="job",
        name=job.get("name") or "job",
        job={
            "uuid": job["uuid"],
            "index": job["index"],
            "store": f"{db.settings.database}.{OUTPUTS}",
            "sha256": job["sha256"],
        },
        settings=output.get("hyperparameters") or output.get("protocol") or {},
        package_versions=output.get("package_versions") or {},
        finished_at=datetime.fromisoformat(completed) if completed else utc_now(),
        wall_time=output.get("wall_time"),
    )


def _activity_without_records(
    db: Database, job: dict[str, Any], output: dict[str, Any], error: str
) -> Activity:
    """Of a job whose output came too late to become a record: nothing is left to be repaired."""
    activity = _activity(db, job, output)
    activity.kind, activity.error, activity.resolved, activity.n_records = FAILURE, error, True, 0
    return activity


def _stored_digest(db: Database, job: dict[str, Any]) -> str | None:
    """Digest of a job's document as it stands in the JobStore now."""
    found = db.raw[OUTPUTS].find_one({"_id": job["_id"]})
    return output_digest(found) if found else None


def _activity_id(job: dict[str, Any]) -> str:
    return f"{job['uuid']}:{job['index']}"
