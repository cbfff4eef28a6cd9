"""Running a flow here: jobflow in this process, records at the end."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from pathlib import Path

from jobflow import CURRENT_JOB, Flow, Job, run_locally

from forcebase.database.database import Database
from forcebase.database.write_errors import is_too_large
from forcebase.errors import CalculationError, ForcebaseError
from forcebase.ingest.collect import CollectReport, collect
from forcebase.ingest.failures import failure
from forcebase.makers.requirements import check_requirements
from forcebase.scratch import scratch_folder

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_here(db: Database, flow: Flow | Job, folder: Path | None = None) -> CollectReport:
    """Run a flow in this process, then turn its outputs into records.

    Outputs of jobs that finished are collected even when a later one fails or is interrupted,
    so that nothing that was computed is lost.

    Args:
        db: where outputs and records go.
        flow: what to run; references to published records are allowed.
        folder: keeps the jobs' files; by default they go when the flow ends.

    Raises:
        MissingDependencyError: what a maker of the flow needs is not installed; no job was run.
        CalculationError: a job failed; its own message is in the error's.
        AccessError: the user may not write to the database.
    """
    db.check_writing()
    if isinstance(flow, Flow) and not flow.jobs:
        return CollectReport()  # all that was asked for is there already
    check_requirements(flow)
    _set_threads(db.settings.threads)
    logging.getLogger("jobflow").setLevel(logging.ERROR)
    with scratch_folder("forcebase-run") as scratch, warnings.catch_warnings():
        # jobflow's own call of monty, each time a job begins
        warnings.filterwarnings("ignore", message="cd is deprecated", category=FutureWarning)
        try:
            run_locally(
                flow,
                log=False,
                store=db.job_store,
                create_folders=True,
                root_dir=folder or scratch,
                allow_external_references=True,
                raise_immediately=True,
            )
        except KeyboardInterrupt:
            collect(db)
            raise
        except Exception as error:
            collect(db)
            _record_failure(db)
            if isinstance(error, ForcebaseError):
                raise
            if CURRENT_JOB.job and is_too_large(error):
                raise CalculationError(
                    f"The output of job {CURRENT_JOB.job.name!r} is over MongoDB's 16 MB.",
                    hint="Return what is large as a forcebase.blob.Blob from a job made with "
                    "@job(data=[Blob]).",
                ) from None
            job = f"Job {CURRENT_JOB.job.name!r} of flow" if CURRENT_JOB.job else "Flow"
            raise CalculationError(
                f"{job} {flow.name!r} failed: {type(error).__name__}: {error}",
                hint="What finished before it is kept; fix the cause and launch again.",
            ) from error
        finally:
            CURRENT_JOB.reset()  # jobflow does not, where a job fails
        return collect(db)


def _record_failure(db: Database) -> None:
    """Keep what the current job said as it failed; its files go with the run."""
    job = CURRENT_JOB.job
    if job is not None:
        named = {"uuid": job.uuid, "index": job.index}
        db.activities.add([failure(job.name, named, traceback.format_exc())])


def _set_threads(threads: int) -> None:
    """Set before the first heavy import: libraries read these once."""
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, str(threads))
