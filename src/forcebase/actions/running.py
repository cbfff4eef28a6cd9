"""Runs the flow of an action here, collects, and gives the record."""

from __future__ import annotations

import logging
from typing import Any

from jobflow import Flow, Job

from forcebase.actions.running_here import run_here
from forcebase.database.database import Database
from forcebase.errors import CalculationError
from forcebase.ingest.collect import CollectReport
from forcebase.progress import Progress, following

LOG = logging.getLogger(__name__)


def run(db: Database, work: Flow | Job, progress: Progress | None) -> CollectReport:
    """Run, collect, and say what a model did not give again."""
    with following(progress):
        report = run_here(db, work)
    for finding in report.findings:
        LOG.warning("%s.", finding)
    return report


def found_record(record: Any, what: str, report: CollectReport) -> Any:
    """The record that a flow was run for; what else could not be collected does not matter."""
    if record is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in report.failed)
        raise CalculationError(
            f"The {what} was computed, but its record is not there. {reasons}".strip(),
            hint="Run `forcebase collect`.",
        )
    return record
