"""What jobflow-remote's queue knows of jobs: states, errors, locks; and how to repair them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from forcebase.database.database import Database
from forcebase.database.job_store import QUEUE
from forcebase.errors import InputError
from forcebase.ingest.failures import FAILED
from forcebase.remote.project import AUXILIARY, RemoteProject
from forcebase.remote.recovery import (
    CANCELLED,
    FLOWS,
    complete_begun,
    may_begin_again,
    release_flow,
    release_job,
)

if TYPE_CHECKING:
    from jobflow_remote.jobs.jobcontroller import JobController

OVER = ("COMPLETED", *CANCELLED, *FAILED)
"""States that last until somebody does something."""
WAITING = ("WAITING", "PAUSED")
LONG_LOCK = 600
"""s; a lock is held for a step of seconds, by a runner that a kill may have ended."""
FIELDS = {
    **dict.fromkeys(("db_id", "uuid", "index", "job.name", "job.hosts", "state", "worker"), 1),
    **dict.fromkeys(("run_dir", "error", "remote.error", "lock_id", "lock_time"), 1),
    **dict.fromkeys(("updated_on", "start_time", "end_time"), 1),
}


@dataclass(frozen=True)
class QueuedJob:
    """One job of the queue.

    Attributes:
        number: jobflow-remote's db_id.
        flow: uuid of the outermost flow.
        error: what the job or the way to it and back said; None while all is well.
        seconds: since its start, or from its start to its end; None before.
        locked: s since a runner took it; None while nobody holds it.
    """

    number: str
    uuid: str
    index: int
    name: str
    flow: str
    state: str
    worker: str
    folder: str | None
    error: str | None
    updated: datetime
    seconds: float | None
    locked: float | None

    @property
    def reason(self) -> str:
        """The line of the error that says most: an exception's own words are its last."""
        lines = [line for line in (self.error or "").splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def list_jobs(
    db: Database,
    states: Sequence[str] = (),
    flow: str | None = None,
    numbers: Sequence[str] = (),
    limit: int = 0,
) -> list[QueuedJob]:
    """List jobs, newest first.

    Args:
        db: the database, with its queue.
        states: only these, as jobflow-remote names them.
        flow: only of flows whose uuid begins so.
        numbers: only these.
        limit: at most so many; 0 for all.
    """
    query: dict[str, Any] = {}
    if states:
        query["state"] = {"$in": [state.upper() for state in states]}
    if flow:
        query["job.hosts"] = {"$regex": f"^{re.escape(flow)}"}
    if numbers:
        query["db_id"] = {"$in": list(numbers)}
    found = db.raw[QUEUE].find(query, FIELDS).sort("created_on", -1).limit(limit)
    return [_job(document) for document in found]


def flow_jobs(project: RemoteProject, flow: str) -> list[QueuedJob]:
    """List the jobs of one flow in the queue of a project, the oldest first.

    Args:
        project: whose queue is read.
        flow: uuid of the outermost flow.
    """
    controller = project.controller()
    try:
        found = controller.jobs.find({"job.hosts": flow}, FIELDS)
        return [_job(document) for document in found.sort("created_on", 1)]
    finally:
        controller.close()


def count_states(db: Database) -> dict[str, int]:
    """Count all jobs of the queue by state."""
    groups = db.raw[QUEUE].aggregate([{"$group": {"_id": "$state", "n": {"$sum": 1}}}])
    return {group["_id"]: group["n"] for group in groups}


def is_idle(db: Database) -> bool:
    """Whether no job is left that a runner could bring further, or holds."""
    active = [{"state": {"$nin": [*OVER, *WAITING]}}, {"lock_id": {"$ne": None}}]
    return db.raw[QUEUE].find_one({"$or": active}, {"_id": 1}) is None


def lacks_runner(db: Database) -> bool:
    """Whether jobs wait for a runner, and no daemon is noted as started for them.

    A runner in the foreground, `jf runner run`, is not noted anywhere.
    """
    noted = {"running_runner": {"$nin": [None]}}
    return not is_idle(db) and db.raw[AUXILIARY].find_one(noted, {"_id": 1}) is None


def rerun(project: RemoteProject, jobs: Iterable[QueuedJob]) -> list[str]:
    """Have jobs run again, in emptied folders; their numbers.

    A job that did its work, and whose runner failed as it put its new jobs into the queue, is
    completed instead.

    Raises:
        InputError: a job is in a state from which it cannot, or is held by a runner; the others
            run again nevertheless.
    """

    def act(controller: JobController, job: QueuedJob, _: Sequence[str]) -> list[str]:
        _rerun(controller, job)
        return [job.number]

    return _each(project, jobs, act)


def _each(
    project: RemoteProject,
    jobs: Iterable[QueuedJob],
    act: Callable[[JobController, QueuedJob, Sequence[str]], list[str]],
) -> list[str]:
    """Act on one job after another, past those that refuse; the numbers that `act` gave.

    Raises:
        InputError: the first refusal, once all were tried.
    """
    controller = project.controller()
    done: list[str] = []
    refused = []
    try:
        for job in jobs:
            try:
                done += act(controller, job, done)
            except InputError as error:
                refused.append(error)
    finally:
        controller.close()
    if refused:
        raise refused[0]
    return done


def _rerun(controller: JobController, job: QueuedJob) -> None:
    from jobflow_remote.jobs.state import JobState
    from jobflow_remote.utils.db import LockedDocumentError

    try:
        if complete_begun(controller, job.number) or _waits_again(controller, job):
            return
        again = job.state in (*FAILED, *CANCELLED) and may_begin_again(controller, job.uuid)
        controller.rerun_job(db_id=job.number, force=again)
        if job.state in CANCELLED:
            for one in _those_behind(controller, job, CANCELLED):
                controller.set_job_state(JobState.WAITING, db_id=one)
    except LockedDocumentError:
        raise InputError(
            f"Job {job.number} ({job.name}), or its flow, is held by a runner.",
            hint=f"If that runner was killed: forcebase jobs unlock {job.number}",
        ) from None
    except ValueError as error:
        raise InputError(f"Job {job.number} ({job.name}): {error}") from None


def _waits_again(controller: JobController, job: QueuedJob) -> bool:
    """Whether a job that had failed waits for another one that runs again."""
    waiting = {"db_id": job.number, "state": "WAITING"}
    return job.state in FAILED and controller.jobs.find_one(waiting, {"_id": 1}) is not None


def cancel(project: RemoteProject, jobs: Iterable[QueuedJob]) -> list[str]:
    """Cancel jobs, and those of their flows that wait for them; what runs is ended by its worker.

    Returns:
        Numbers of the jobs that were cancelled.

    Raises:
        InputError: a job has ended, or is held by a runner; the others are cancelled nevertheless.
    """

    def act(controller: JobController, job: QueuedJob, done: Sequence[str]) -> list[str]:
        waited_for_one_before = job.number in done
        return [] if waited_for_one_before else _cancel(controller, job)

    return _each(project, jobs, act)


def _cancel(controller: JobController, job: QueuedJob) -> list[str]:
    from jobflow_remote.jobs.state import JobState
    from jobflow_remote.utils.db import LockedDocumentError

    if job.state in OVER:
        raise InputError(
            f"Job {job.number} ({job.name}) has ended: {job.state.lower()}.",
            hint="Only jobs that wait or run can be cancelled.",
        )
    try:
        if job.state in WAITING:
            controller.set_job_state(JobState.USER_STOPPED, db_id=job.number)
        else:
            controller.stop_job(db_id=job.number)
    except (LockedDocumentError, ValueError) as error:
        raise InputError(
            f"Job {job.number} ({job.name}) cannot be cancelled now: {error}",
            hint="A runner holds it for a moment: do it again.",
        ) from None
    behind = _those_behind(controller, job, WAITING)
    for one in behind:
        controller.set_job_state(JobState.STOPPED, db_id=one)
    return [job.number, *behind]


def _those_behind(controller: JobController, job: QueuedJob, states: Sequence[str]) -> list[str]:
    """Numbers of the jobs in these states that need the output of a job, or of one of those."""
    found: list[str] = []
    parents = [job.uuid]
    while parents:
        needing = {"parents": {"$in": parents}, "state": {"$in": list(states)}}
        rows = controller.jobs.find({**needing, "db_id": {"$nin": found}}, {"db_id": 1, "uuid": 1})
        parents = []
        for row in rows:
            found.append(row["db_id"])
            parents.append(row["uuid"])
    return found


def long_locks(db: Database, seconds: float = LONG_LOCK) -> list[QueuedJob]:
    """Jobs that a runner took so long ago that it was killed, in all likelihood."""
    held = db.raw[QUEUE].find({"lock_id": {"$ne": None}}, FIELDS)
    return [job for job in map(_job, held) if job.locked is None or job.locked >= seconds]


def locked_flows(db: Database, seconds: float = LONG_LOCK) -> list[str]:
    """Uuids of flows that were locked so long ago; their jobs cannot end."""
    held = db.raw[FLOWS].find({"lock_id": {"$ne": None}}, {"uuid": 1, "lock_time": 1})
    return [flow["uuid"] for flow in held if _age(flow.get("lock_time"), 0.0) >= seconds]


def unlock(project: RemoteProject, jobs: Iterable[QueuedJob], flows: Iterable[str]) -> int:
    """Take locks away that a killed runner left; the next runner goes on where it stopped.

    Flows that are not locked are told again which of their jobs may start.

    Returns:
        Number of locks taken away.
    """
    controller = project.controller()
    try:
        n_jobs = sum(release_job(controller, job.number) for job in jobs)
        return n_jobs + sum(release_flow(controller, uuid) for uuid in dict.fromkeys(flows))
    finally:
        controller.close()


def _job(document: dict[str, Any]) -> QueuedJob:
    start, end = document.get("start_time"), document.get("end_time")
    hosts = document["job"].get("hosts") or [""]
    state = document["state"]
    locked = _age(document.get("lock_time"), 0.0) if document.get("lock_id") else None
    return QueuedJob(
        number=str(document["db_id"]),
        uuid=document["uuid"],
        index=document["index"],
        name=document["job"]["name"],
        flow=hosts[-1],
        state=state,
        worker=document["worker"],
        folder=document.get("run_dir"),
        error=document.get("error") or (document.get("remote") or {}).get("error"),
        updated=_aware(document["updated_on"]),
        seconds=None if start is None else _age(start, 0.0, end if state in OVER else None),
        locked=locked,
    )


def _age(since: datetime | None, unknown: float, until: datetime | None = None) -> float:
    if since is None:
        return unknown
    end = _aware(until) if until else datetime.now(UTC)
    return (end - _aware(since)).total_seconds()


def _aware(time: datetime) -> datetime:
    """MongoDB's times are UTC without saying so."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)
