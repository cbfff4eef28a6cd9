"""Running a flow elsewhere: in the queue of jobflow-remote, with a handle to wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from jobflow import Flow, Job

from forcebase.database.database import Database
from forcebase.errors import CalculationError
from forcebase.ingest.collect import CollectReport
from forcebase.ingest.failures import FAILED
from forcebase.remote.carrying import collect_from
from forcebase.remote.placement import Place
from forcebase.remote.project import RemoteProject, find_project
from forcebase.remote.queue import OVER, QueuedJob, flow_jobs
from forcebase.remote.submission import Submission, submit
from forcebase.safety.text import html_text

R = TypeVar("R")
POLL_SECONDS = 1.0


class State(StrEnum):
    """How far a flow in the queue is."""

    WAITING = "waiting"
    """No runner has taken a job of it yet."""
    RUNNING = "running"
    FAILED = "failed"
    """A job failed, or was stopped, and no other one can go on."""
    COMPLETED = "completed"


@dataclass(frozen=True)
class Handle(Generic[R]):
    """A flow that runs elsewhere; it lives as long as this process, the flow does not need it.

    The database must be open for its methods. `forcebase collect` makes the records too, without
    any handle.

    Attributes:
        db: where the records will be.
        submission: what was put into the queue; None where nothing was missing.
        answer: gives what the flow is run for, from the records.
    """

    db: Database
    submission: Submission | None
    answer: Callable[[CollectReport], R]

    @property
    def flow(self) -> str:
        """Uuid of the flow; "" where nothing was missing."""
        return self.submission.flow if self.submission else ""

    @property
    def numbers(self) -> list[str]:
        """jobflow-remote's numbers of the jobs that were submitted, as `forcebase jobs` shows."""
        return list(self.submission.jobs) if self.submission else []

    def jobs(self) -> list[QueuedJob]:
        """The flow's jobs as they are now, those too that its jobs made."""
        if self.submission is None:
            return []
        return flow_jobs(self._project(), self.flow)

    def state(self) -> State:
        """How far the flow is; jobs that were taken out of the queue are not waited for."""
        return _state_of([job.state for job in self.jobs()])

    @property
    def done(self) -> bool:
        """Whether the flow goes no further: it is completed, or it failed."""
        return self.state() in (State.COMPLETED, State.FAILED)

    def result(self, timeout: float | None = None) -> R:
        """Wait for the flow, collect, and give the record that it was run for.

        Args:
            timeout: s to wait at most; for ever by default.

        Raises:
            CalculationError: a job failed (what finished is collected nevertheless), the flow was
                not done in time, or its record is not there.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            if end is not None and time.monotonic() >= end:
                raise self._late(timeout or 0.0)
            time.sleep(POLL_SECONDS)
        failed = [job for job in self.jobs() if job.state != "COMPLETED"]
        if self.submission is None:
            return self.answer(CollectReport())
        report = collect_from(self.db, self._project())
        if failed:
            raise _failure(self.submission, failed)
        return self.answer(report)

    def __repr__(self) -> str:
        return f"<{' '.join(self._told())}>"

    def _repr_html_(self) -> str:
        return f"<div>{html_text(' '.join(self._told()))}</div>"

    def _told(self) -> list[str]:
        """What is known without asking the queue: a prompt must not wait for it."""
        if self.submission is None:
            return ["Handle:", "nothing was missing, result() gives it"]
        jobs = ", ".join(self.numbers)
        return [
            *("Handle", repr(self.submission.name), f"flow {self.flow[:8]}, jobs {jobs};"),
            "state() says how far it is, result() waits for it",
        ]

    def _project(self) -> RemoteProject:
        name = self.submission.project if self.submission else None
        return find_project(self.db.settings, name)

    def _late(self, seconds: float) -> CalculationError:
        open_jobs = [job for job in self.jobs() if job.state not in OVER]
        listed = ", ".join(f"{job.number} ({job.name}) {job.state}" for job in open_jobs[:3])
        project = self.submission.project if self.submission else ""
        return CalculationError(
            f"The flow {self.flow[:8]} is not done after {seconds:g} s: {listed}.",
            hint=f"A runner works on it once it is started: jf -p {project} runner start",
        )


def run_there(
    db: Database, flow: Flow | Job, where: Place, answer: Callable[[CollectReport], R]
) -> Handle[R]:
    """Put a flow into the queue and give a handle; one without jobs is done.

    Args:
        db: the database.
        flow: what is missing.
        where: project, workers and resources.
        answer: gives what the flow is run for, once its outputs are collected.

    Raises:
        ForcebaseError: see `forcebase.remote.submission.submit`.
    """
    db.check_writing()
    done = isinstance(flow, Flow) and not flow.jobs
    return Handle(db, None if done else submit(db, flow, where), answer)


def _state_of(states: list[str]) -> State:
    if all(state == "COMPLETED" for state in states):
        return State.COMPLETED
    stopped = any(state in OVER and state != "COMPLETED" for state in states)
    active = any(state not in (*OVER, "WAITING", "PAUSED") for state in states)
    if stopped and not active:
        return State.FAILED
    waiting = all(state in ("READY", "WAITING", "PAUSED") for state in states)
    return State.WAITING if waiting else State.RUNNING


def _failure(submission: Submission, jobs: list[QueuedJob]) -> CalculationError:
    """What went wrong first: jobs behind it only wait."""
    wrong = [job for job in jobs if job.state in FAILED] or jobs
    listed = "; ".join(
        f"{job.name} (job {job.number}, {job.state}): {job.reason or 'no word of it'}"
        for job in wrong
    )
    numbers = " ".join(job.number for job in wrong)
    rerun = "forcebase jobs" if submission.own else f"jf -p {submission.project} job"
    return CalculationError(
        f"Flow {submission.name!r} failed: {listed}",
        hint=f"Remove the cause, then: {rerun} rerun {numbers}",
        flow=submission.flow,
    )
