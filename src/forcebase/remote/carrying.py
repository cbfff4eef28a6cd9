"""A project that is not the database's own: inputs go into its JobStore, outputs come back.

Such a project has a queue and a JobStore elsewhere. The inputs of our flows are added to that
JobStore, and the outputs of our flows are read from it; nothing else there is touched. What is
brought here is an output like any other one: `collect` makes the same records of it as of a job
that ran here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jobflow import Flow, JobStore
from jobflow.utils.find import find_key, find_key_value
from pydash import get
from pymongo.errors import DuplicateKeyError, PyMongoError

from forcebase.blob import DATA_STORE
from forcebase.database.access import refusals_told
from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS
from forcebase.database.pieces import in_pieces
from forcebase.errors import InputError, IntegrityError, NotFoundError
from forcebase.ingest.collect import CollectReport, OnJob, collect
from forcebase.ingest.failures import collect_failures
from forcebase.remote.project import RemoteProject
from forcebase.remote.template import server_name

if TYPE_CHECKING:
    from jobflow_remote.jobs.jobcontroller import JobController

ORIGIN = "forcebase_database"
"""In the metadata of a flow: whose records its outputs become."""


def send(db: Database, flow: Flow, project: RemoteProject) -> None:
    """Prepare a flow for the queue of another project: marked as ours, its inputs in that JobStore.

    Args:
        db: the database, whose outputs the flow refers to.
        flow: changed in place.
        project: where it goes.

    Raises:
        InputError: the project's JobStore is of no use for it.
        NotFoundError: what a job refers to is not there.
    """
    flow.update_metadata({ORIGIN: _origin(db)})
    within = set(flow.job_uuids)
    uuids = {ref.uuid for job, _ in flow.iterflow() for ref in job.input_references} - within
    with _open_store(project) as store:
        for uuid in sorted(uuids):
            _add(db.job_store, store, uuid)


def collect_from(
    db: Database, project: RemoteProject, on_job: OnJob | None = None
) -> CollectReport:
    """Collect, after what flows of this database gave in a project's queue is brought here.

    Of the database's own project nothing needs to be brought. Repeating it brings nothing twice.
    An output whose heavy parts are lost is told as failed, and the others come.

    Args:
        db: the database.
        project: its own, or another one.
        on_job: as for `collect`.

    Raises:
        InputError: the project's JobStore cannot be opened.
    """
    if project.own:
        return collect(db, on_job)
    controller = project.controller()
    lost: list[tuple[str, str]] = []
    try:
        uuids = list(_our_jobs(db, controller))
        with _open_store(project) as store:
            for uuid, index in _completed(controller, uuids):
                try:
                    _bring(store, db, uuid, index)
                except IntegrityError as error:
                    lost.append((f"job {uuid[:8]}", str(error)))
        failures = [
            activity
            for piece in in_pieces({"uuid": {"$in": uuids}})
            for activity in collect_failures(db, piece, controller.jobs)
        ]
    finally:
        controller.close()
    report = collect(db, on_job)
    report.failed += lost
    report.failures += [(activity.name, activity.reason) for activity in failures]
    return report


def _origin(db: Database) -> dict[str, str]:
    return {"database": db.settings.database, "server": server_name(db.settings)}


def _our_jobs(db: Database, controller: JobController) -> Iterator[str]:
    """Uuids of the jobs of all our flows in a queue."""
    ours = {f"metadata.{ORIGIN}.{name}": value for name, value in _origin(db).items()}
    for flow in controller.flows.find(ours, {"jobs": 1}):
        yield from flow["jobs"]


def _completed(controller: JobController, uuids: list[str]) -> Iterator[tuple[str, int]]:
    fields = {"uuid": 1, "index": 1}
    for piece in in_pieces({"uuid": {"$in": uuids}}):
        for job in controller.jobs.find({**piece, "state": "COMPLETED"}, fields):
            yield job["uuid"], job["index"]


@contextmanager
def _open_store(project: RemoteProject) -> Iterator[JobStore]:
    """The JobStore of a project, connected.

    Raises:
        InputError: the project has none, it has no store for what is large, or does not answer.
    """
    store = project.load().get_jobstore()
    if store is None:
        raise InputError(f"Project {project.name!r} names no jobstore in {project.path}.")
    stores: Any = store.additional_stores  # type: ignore[has-type]
    if DATA_STORE not in stores:
        raise InputError(
            f"The JobStore of project {project.name!r} has no additional store {DATA_STORE!r}, "
            "where jobs of forcebase keep what is large.",
            hint=f"Add it to additional_stores of the jobstore in {project.path}: a GridFSStore of "
            "the same database.",
        )
    try:
        store.connect()
        store.docs_store.query_one({}, ["uuid"])
    except PyMongoError as error:
        raise InputError(
            f"The JobStore of project {project.name!r} does not answer: {type(error).__name__}.",
            hint=f"Check its address in {project.path}.",
        ) from None
    try:
        yield store
    finally:
        store.close()


def _add(ours: JobStore, theirs: JobStore, uuid: str) -> None:
    """Add the outputs of a job of ours, and those that they refer to, where they are not there."""
    there = {found["index"] for found in theirs.docs_store.query({"uuid": uuid}, ["index"])}
    found = list(ours.docs_store.query({"uuid": uuid}))
    if not found and not there:
        raise NotFoundError(
            f"The output of job {uuid[:8]} is not in the JobStore.",
            hint="`forcebase verify` says what else is missing.",
        )
    for document in found:
        output: dict[Hashable, Any] = {"output": document.get("output")}
        for place in find_key_value(output, "@class", "OutputReference"):
            _add(ours, theirs, get(output, list(place))["uuid"])
        if document["index"] not in there:
            _carry_blobs(ours, theirs, document)
            document.pop("_id")
            theirs.docs_store.update([document], key=["uuid", "index"])


def _bring(theirs: JobStore, db: Database, uuid: str, index: int) -> None:
    """Bring one output here, heavy parts first; of two who do so at once, the first counts."""
    named = {"uuid": uuid, "index": index}
    if db.raw[OUTPUTS].find_one(named, {"_id": 1}) is not None:
        return
    document = theirs.docs_store.query_one(named)
    if document is None:
        return  # an output that somebody removed: the queue has not heard of it
    _carry_blobs(theirs, db.job_store, document)
    with refusals_told(db.raw):
        try:
            db.raw[OUTPUTS].insert_one(document)
        except DuplicateKeyError:
            return


def _carry_blobs(source: JobStore, target: JobStore, document: dict[str, Any]) -> None:
    """Copy the heavy parts of a document into the other's store for them, and say so in it."""
    whole: Any = document
    parts = [get(document, list(place)) for place in find_key(whole, "blob_uuid")]
    froms: Any = source.additional_stores  # type: ignore[has-type]
    to: Any = target.additional_stores[DATA_STORE]  # type: ignore[has-type]
    for part in parts:
        place = froms.get(part.get("store"))
        found = place and place.query_one({"blob_uuid": part["blob_uuid"]})
        if not found or "data" not in found:
            raise IntegrityError(
                f"A heavy part of the output of job {document.get('name')!r} is lost from the "
                "JobStore that it is in.",
                hint="Run the job again.",
            )
        kept = ("blob_uuid", "data", "job_uuid", "job_index")
        to.update([{name: found[name] for name in kept if name in found}], key="blob_uuid")
        part["store"] = DATA_STORE
