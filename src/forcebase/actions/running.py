"""The one runner: what is missing is computed here or elsewhere, and gives the record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, overload

from jobflow import Flow, Job

from forcebase.actions.running_here import run_here
from forcebase.actions.running_there import Handle, run_there
from forcebase.database.database import Database
from forcebase.errors import CalculationError
from forcebase.ingest.collect import CollectReport
from forcebase.progress import Progress, following
from forcebase.remote.placement import Place

LOG = logging.getLogger(__name__)
R = TypeVar("R")
Where = Place | str
"""Elsewhere: a place, or the name of a worker of the database's project."""
Answer = Callable[[CollectReport], R]
"""Gives the record that a flow was run for, once its outputs are collected."""


@overload
def run(
    db: Database,
    flow: Flow | Job,
    answer: Answer[R],
    where: None = None,
    progress: Progress | None = None,
) -> R: ...
@overload
def run(
    db: Database,
    flow: Flow | Job,
    answer: Answer[R],
    where: Where,
    progress: Progress | None = None,
) -> Handle[R]: ...
@overload
def run(
    db: Database,
    flow: Flow | Job,
    answer: Answer[R],
    where: Where | None,
    progress: Progress | None = None,
) -> R | Handle[R]: ...
def run(
    db: Database,
    flow: Flow | Job,
    answer: Answer[R],
    where: Where | None = None,
    progress: Progress | None = None,
) -> R | Handle[R]:
    """Run the flow of what is missing, here or elsewhere, and give what it was run for.

    A flow without jobs is done: what it was to make is there.

    Args:
        db: the database.
        flow: what is missing; references to published records are allowed.
        answer: gives the record, or whatever was asked for, once all is collected.
        where: None for this process, a worker's name, or a place.
        progress: told of the stages of jobs that run here.

    Returns:
        The answer; elsewhere a handle, whose `result()` waits for it.

    Raises:
        CalculationError: a job failed here, or its record is not there.
        ForcebaseError: see `run_here` and `forcebase.remote.submission.submit`.
    """
    if where is not None:
        place = Place(worker=where) if isinstance(where, str) else where
        return run_there(db, flow, place, answer)
    with following(progress):
        return answer(run_here(db, flow))


def found_record(record: Any, what: str, report: CollectReport) -> Any:
    """The record that a flow was run for; what else could not be collected does not matter.

    What a model did not give again is logged as a warning.

    Raises:
        CalculationError: it is not there.
    """
    if record is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.failed)
        raise CalculationError(
            f"The {what} was computed, but its record is not there. {reasons}".strip(),
            hint="Run `forcebase collect`.",
        )
    for finding in report.findings:
        LOG.warning("%s.", finding)
    return record
