"""Task documents of other people's jobflow JobStores become records that point back at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobflow import JobStore
from pymongo.errors import PyMongoError

from forcebase.database.acts import done_among
from forcebase.database.database import Database
from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import DatabaseError, ForcebaseError, InputError
from forcebase.ingest.import_report import ImportReport
from forcebase.ingest.job_documents import document_batch
from forcebase.ingest.label_checks import check_labels
from forcebase.ingest.options import EDITION, ImportOptions
from forcebase.ingest.reasons import in_words
from forcebase.ingest.renewal import link_renewed
from forcebase.ingest.store_files import open_store
from forcebase.records import Activity
from forcebase.safety.limits import bounded

Document = dict[str, Any]
NO_JOB = "it is of no job: it needs a text as uuid and a whole number as index."
LONGEST_NAME = 200


def import_job_store(
    db: Database, path: Path, options: ImportOptions, report: ImportReport
) -> None:
    """Turn every finished task document of known kind into records, each with its own activity.

    A document is not read again when its job (uuid, index, store) was imported before. Nothing is
    written to the store, not even an index, unless the options allow that.

    Args:
        db: the database.
        path: jobflow.yaml, a store's configuration, or the JSON file of a JSONStore.
        options: `model` says which model force field documents come from.
        report: added to.

    Raises:
        InputError: the store cannot be opened.
    """
    store, name = open_store(path)
    with store:
        if options.may_write:
            _index(store)
        jobs = {}
        for n, job in enumerate(_finished_jobs(store)):
            if _is_job(job):
                jobs[_activity_id(job, name, options)] = job
            else:
                report.failed.append((f"document {n} of {name}", NO_JOB))
        known = done_among(db, jobs)
        report.activities += jobs
        for activity, job in jobs.items():
            if activity in known:
                report.unchanged.append(_name(job))
                continue
            _import_job(
                db,
                store,
                job,
                Activity(
                    id=activity,
                    kind="import",
                    name=_name(job),
                    job={"uuid": job["uuid"], "index": job["index"], "store": name},
                    source={"file": path.name, **options.asked()},
                ),
                options,
                report,
            )


def _index(store: JobStore) -> None:
    """What heavy outputs are found by; documents themselves are read by their `_id`.

    Raises:
        InputError: the store does not allow it.
    """
    try:
        stores: Any = store.additional_stores  # type: ignore[has-type]
        for additional in stores.values():
            additional.ensure_index("blob_uuid")
    except PyMongoError as error:
        raise InputError(
            f"no index can be made in the JobStore: {type(error).__name__}.",
            hint="Leave out --may-write: reading needs none.",
        ) from None


def _finished_jobs(store: JobStore) -> list[Document]:
    """Sorted here: the server sorts what is not indexed in little memory."""
    fields = ["_id", "uuid", "index", "name", "completed_at"]
    try:
        found = list(store.query({}, fields, load=False))
        return sorted(found, key=lambda job: str(job.get("completed_at") or ""))
    except PyMongoError as error:  # of theirs, not of ours
        raise InputError(
            f"the JobStore's MongoDB does not answer: {type(error).__name__}.",
            hint="Check host, port and password in its configuration.",
        ) from None


def _is_job(job: Document) -> bool:
    uuid, index = job.get("uuid"), job.get("index")
    return isinstance(uuid, str) and isinstance(index, int) and not isinstance(index, bool)


def _name(job: Document) -> str:
    """What to call a job, where its document has anything for it."""
    name = job.get("name")
    return name[:LONGEST_NAME] if name and isinstance(name, str) else "job"


def _import_job(
    db: Database,
    store: JobStore,
    job: Document,
    activity: Activity,
    options: ImportOptions,
    report: ImportReport,
) -> None:
    title = f"{activity.name} ({job['uuid'][:8]})"
    try:
        document = store.query_one({"_id": job["_id"]}, load=True)
        with bounded(title):
            batch = document_batch(db, document, options)
            if batch is None:
                report.unknown.append(title)
                return
            check_labels(batch)
    except (DatabaseError, PyMongoError):  # not the document's fault, and the next one's too
        raise
    except ForcebaseError as error:
        report.failed.append((title, str(error)))
    except Exception as error:  # whatever pymatgen and phonopy make of a foreign document
        report.failed.append((title, f"its document is not as expected: {in_words(error)}"))
    else:
        link_renewed(db, batch)
        report.add(batch.write(db, activity))
        report.findings += activity.messages
        report.notes += [(title, note) for note in batch.notes]
        report.jobs += 1
        report.names.append(activity.name)


def _activity_id(job: Document, store: str, options: ImportOptions) -> str:
    named = {"uuid": job["uuid"], "index": job["index"], "store": store, **options.asked()}
    named["edition"] = EDITION
    if options.description:
        named["description_sha256"] = bytes_digest(options.description.read_bytes())
    return content_digest({"import": named})
