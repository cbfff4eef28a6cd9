"""Flows into the queue of jobflow-remote."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
from jobflow import Flow, Job
from jobflow.core.flow import get_flow
from monty.json import MontyDecoder, jsanitize

from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.remote.carrying import send
from forcebase.remote.placement import Place, place, unmatched
from forcebase.remote.project import RemoteProject, find_project
from forcebase.remote.queue import QueuedJob, flow_jobs
from forcebase.remote.same_flow import flow_key, mark, waiting_with

if TYPE_CHECKING:
    from jobflow_remote.config.base import WorkerBase

ROOM = 100_000
"""bytes that jobflow-remote adds to a job's document."""


@dataclass(frozen=True)
class Submission:
    """What was put into the queue.

    Attributes:
        flow: uuid.
        jobs: jobflow-remote's numbers of the jobs, as texts.
        workers: the worker that each job is sent to.
        unmatched: parts of names given that no job has yet.
        waits: whether an equal flow waits or runs in the queue already, which this one is then.
        own: whether the project is the database's own; outputs of another one's are brought here by
            `forcebase collect --project`.
    """

    project: str
    flow: str
    name: str
    jobs: list[str]
    workers: list[str]
    unmatched: list[str]
    own: bool = True
    waits: bool = False


def submit(db: Database, flow: Flow | Job, where: Place | None = None) -> Submission:
    """Put a flow into the queue; a running `jf runner` does the rest.

    Where an equal flow waits or runs there, that is the one, unless `where` says `again`.

    In a project that is not the database's own, the flow's inputs go into its JobStore first.

    Args:
        db: the database, for which there is a project.
        flow: what to run; references to published records are allowed.
        where: project, workers and resources; the first worker of the database's project by
            default.

    Raises:
        InputError: no job to run, a project of no use for it, a worker that is not there, resources
            that its scheduler does not know, or a job whose inputs are over 16 MB.
        NotFoundError: the database has no project.
    """
    where = where or Place()
    found = find_project(db.settings, where.project)
    if isinstance(flow, Flow) and not flow.jobs:
        raise InputError(
            f"Flow {flow.name!r} has no jobs: what it asks for is in the database already."
        )
    flow = get_flow(flow, allow_external_references=True)
    key = flow_key(flow)
    if not where.again and (same := _waiting(found, key)):
        return Submission(
            found.name,
            same[0].flow,
            flow.name,
            [job.number for job in same],
            [job.worker for job in same],
            [],
            found.own,
            waits=True,
        )
    mark(flow, key)
    chosen = where.worker or found.workers[0]
    place(flow, where.workers, where.resources)
    jobs = [job for job, _ in flow.iterflow()]
    sent = [job.config.manager_config.get("worker") or chosen for job in jobs]
    check_workers(found, [chosen, *where.workers.values(), *sent])
    known = found.load().workers
    for job, name in zip(jobs, sent, strict=True):
        _check_resources(job, name, known[name])
        _check_size(job)
    if not found.own:
        send(db, flow, found)
    controller = found.controller()
    try:
        ids = controller.add_flow(
            flow,
            worker=chosen,
            exec_config=_on_path(where.modules),
            allow_external_references=True,
        )
    finally:
        controller.close()
    names = [*where.workers, *where.resources]
    return Submission(
        found.name, flow.uuid, flow.name, ids, sent, unmatched(flow, names), found.own
    )


def _waiting(project: RemoteProject, key: str) -> list[QueuedJob]:
    """Jobs of the flow of this key, where it waits or runs in a project's queue."""
    controller = project.controller()
    try:
        uuid = waiting_with(controller, key)
    finally:
        controller.close()
    return flow_jobs(project, uuid) if uuid else []


def check_place(db: Database, where: Place) -> None:
    """Refuse a project or workers that are not there, before a flow is made.

    Raises:
        InputError: the project has no worker of this name.
        NotFoundError: the database has no project.
    """
    named = [*([where.worker] if where.worker else []), *where.workers.values()]
    check_workers(find_project(db.settings, where.project), named)


def _on_path(folder: Path | None) -> Any:
    from jobflow_remote.config.base import ExecutionConfig

    if folder is None:
        return None
    command = f'export PYTHONPATH="{folder.resolve()}:$PYTHONPATH"'
    return ExecutionConfig.model_validate({"pre_run": command})


def check_workers(project: RemoteProject, names: Iterable[str]) -> None:
    """Check that a project has these workers.

    Raises:
        InputError: it has none of such a name.
    """
    for name in names:
        if name not in project.workers:
            raise InputError(
                f"Project {project.name!r} has no worker {name!r}.",
                hint=f"It has: {', '.join(project.workers)}. Workers are in {project.path}.",
            )


def _check_resources(job: Job, name: str, worker: WorkerBase) -> None:
    """Before the runner does, three times, as it writes the script for the worker's scheduler."""
    from qtoolkit.core.exceptions import QTKError

    wanted = MontyDecoder().process_decoded(job.config.manager_config.get("resources"))
    if not wanted:
        return
    if worker.batch is not None:
        raise InputError(
            f"Job {job.name!r} asks for resources, and worker {name!r} runs many jobs in one "
            "allocation, that of its own resources.",
            hint="Send the job to another worker, or change the resources of this one.",
        )
    scheduler = worker.get_scheduler_io()
    try:
        scheduler.generate_header(deepcopy(wanted))
    except (ValueError, QTKError) as error:
        raise InputError(
            f"The scheduler of worker {name!r}, {type(scheduler).__name__.removesuffix('IO')}, "
            f"does not know the resources of job {job.name!r}: {error}",
            hint="Resources are in the words of the scheduler: those of the workers in the "
            "project are examples.",
        ) from None


def _check_size(job: Job) -> None:
    """Before anything is written: jobflow-remote would leave a flow without jobs."""
    from forcebase.remote.worker_store import LARGEST_DOCUMENT  # it imports jobflow-remote

    size = len(bson.encode(jsanitize(job, strict=True, enum_values=True, allow_bson=True)))
    if size + ROOM > LARGEST_DOCUMENT:
        raise InputError(
            f"The inputs of job {job.name!r} have {size / 1e6:.0f} MB, and a document of MongoDB "
            "at most 16.8 MB.",
            hint="Give large things as references: forcebase.database.publishing makes them of "
            "records.",
            size=size,
        )
