"""What a killed runner left half done: its locks, and steps of jobs between two states.

jobflow-remote 1.0.1 never breaks a lock by itself (its `runner.lock_timeout` is not read), and
takes most of its steps again from their start. Three steps it cannot take twice:

- a job that was being submitted may run already, and two processes would write to one folder
  (on this machine the first is ended; a cluster's scheduler knows more of it than the queue);
- a job whose new jobs (`Response(replace=...)`) are in the queue cannot put them there again;
- of a job that is completed, those that wait for it may not have been told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil

from forcebase.database.database import Database
from forcebase.database.job_store import QUEUE
from forcebase.ingest.failures import FAILED
from forcebase.safety.json_text import parse_json

if TYPE_CHECKING:
    from jobflow_remote.config.base import Project
    from jobflow_remote.jobs.jobcontroller import JobController

FLOWS = "jf_flows"
FREE = {"lock_id": None, "lock_time": None}
CANCELLED = ("STOPPED", "USER_STOPPED")
NOT_RUNNING = ("WAITING", "READY", "PAUSED", "CHECKED_OUT", "UPLOADED", *FAILED, *CANCELLED)
"""States in which a job has no process, so that it can be set back to waiting."""
NEW_JOBS = ("replace", "addition", "detour")


def release_job(controller: JobController, number: str) -> bool:
    """Take the lock of a job away, at a state from which a runner can go on.

    Returns:
        Whether it was locked.
    """
    held = controller.jobs.find_one({"db_id": number, "lock_id": {"$ne": None}})
    if held is None:
        return False
    change: dict[str, Any] = {}
    if held["state"] == "UPLOADED":
        _end_processes(held["run_dir"])
        change = {"state": "CHECKED_OUT", "remote.prerun_cleanup": True}
    elif held["state"] == "DOWNLOADED":
        change = _completion(controller, held) or {}
    same = {"_id": held["_id"], "lock_id": held["lock_id"]}
    return controller.jobs.update_one(same, {"$set": {**FREE, **change}}).modified_count > 0


def release_flow(controller: JobController, uuid: str) -> bool:
    """Take the lock of a flow away, and tell those of its jobs that may start.

    Returns:
        Whether it was locked.
    """
    held = {"uuid": uuid, "lock_id": {"$ne": None}}
    released = controller.flows.update_one(held, {"$set": FREE}).modified_count > 0
    flow = controller.flows.find_one({"uuid": uuid}, {"jobs": 1})
    if flow:
        controller.refresh_children(flow["jobs"])
        controller.update_flow_state(uuid)
    return released


def complete_begun(controller: JobController, number: str) -> bool:
    """Complete a job in REMOTE_ERROR whose new jobs were in the queue when it was tried again.

    It did its work, and running it again would put its new jobs there twice.

    Returns:
        Whether it was such a job.
    """
    job = controller.jobs.find_one(
        {"db_id": number, "state": "REMOTE_ERROR", "previous_state": "DOWNLOADED", "lock_id": None}
    )
    change = _completion(controller, job) if job else None
    if job is None or change is None:
        return False
    nothing = {"remote.error": None, "remote.step_attempts": 0, "remote.retry_time_limit": None}
    controller.jobs.update_one({"_id": job["_id"]}, {"$set": {**nothing, **change}})
    release_flow(controller, job["job"]["hosts"][-1])
    return True


def may_begin_again(controller: JobController, uuid: str) -> bool:
    """Whether a failed job may run again though some of those that wait for it did not wait.

    The job that jobflow puts at the end of a replacement runs even where a parent failed, for it
    only passes references on; those behind it fail. All of them may run again.
    """
    from jobflow_remote.jobs.data import FlowDoc

    flow = FlowDoc.model_validate(controller.flows.find_one({"jobs": uuid}))
    there = [{"uuid": name, "index": index} for name, index in flow.descendants(uuid)]
    fields = {"state": 1, "job.config.resolve_references": 1}
    return not there or all(
        job["state"] in NOT_RUNNING
        or (job["state"] == "COMPLETED" and not job["job"]["config"]["resolve_references"])
        for job in controller.jobs.find({"$or": there}, fields)
    )


def untold_flows(db: Database) -> list[str]:
    """Uuids of unlocked flows with a job that waits, though all that it waits for is completed."""
    waiting = list(db.raw[QUEUE].find({"state": "WAITING"}, {"parents": 1, "job.hosts": 1}))
    parents = {uuid for job in waiting for uuid in job["parents"]}
    found = db.raw[QUEUE].find({"uuid": {"$in": list(parents)}}, {"uuid": 1, "state": 1})
    states = {job["uuid"]: job["state"] for job in found.sort("index", 1)}
    untold = {
        job["_id"]: job["job"]["hosts"][-1]
        for job in waiting
        if all(states.get(uuid) == "COMPLETED" for uuid in job["parents"])
    }
    # a runner that is at it has the flow locked, and the job no longer waits when it is done
    locked = {"uuid": {"$in": list(untold.values())}, "lock_id": {"$ne": None}}
    busy = {flow["uuid"] for flow in db.raw[FLOWS].find(locked, {"uuid": 1})}
    still = db.raw[QUEUE].find({"_id": {"$in": list(untold)}, "state": "WAITING"}, {"_id": 1})
    return sorted({untold[job["_id"]] for job in still} - busy)


def _end_processes(folder: str) -> None:
    """Kill what runs in, or for, the folder of a job."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if folder == process.info["cwd"] or folder in (process.info["cmdline"] or []):
            with suppress(psutil.Error):
                process.kill()


def _completion(controller: JobController, job: dict[str, Any]) -> dict[str, Any] | None:
    """What to set in a job that stopped as it was completed; None where nothing was begun.

    Of new jobs that came into the queue in part, those there are taken out again.
    """
    output = _output(controller, job)
    new = set(_new_jobs([(output.get("response") or {}).get(name) for name in NEW_JOBS]))
    if not new:
        return None
    there = [{"uuid": uuid, "index": index} for uuid, index in sorted(new)]
    n = controller.jobs.count_documents({"$or": there})
    if n == len(new):
        done = {"state": "COMPLETED", "previous_state": None, "error": None}
        return {**done, **_times(output)}
    if n == 0:
        return None
    controller.jobs.delete_many({"$or": there})
    return {"state": "DOWNLOADED", "previous_state": None}


def _output(controller: JobController, job: dict[str, Any]) -> dict[str, Any]:
    """What the job's process left on this machine, of which the runner makes its response."""
    from jobflow_remote.jobs.data import OUT_FILENAME
    from jobflow_remote.remote.data import get_local_data_path

    project = cast("Project", controller.project)
    folder = get_local_data_path(project, job["worker"], job["uuid"], job["index"], job["run_dir"])
    try:
        output = parse_json((Path(folder) / OUT_FILENAME).read_text())
    except (OSError, ValueError, RecursionError):
        return {}  # a runner that reads it again says so itself
    return output if isinstance(output, dict) else {}


def _times(output: dict[str, Any]) -> dict[str, datetime]:
    """When the job began and ended, which monty wrote; it is not asked to read it."""
    found = {}
    for name in ("start_time", "end_time"):
        written = output.get(name)
        if isinstance(written, dict) and isinstance(written.get("string"), str):
            with suppress(ValueError):
                found[name] = datetime.fromisoformat(written["string"])
    return found


def _new_jobs(found: Any) -> Iterator[tuple[str, int]]:
    """Uuid and index of all jobs in a serialised flow."""
    if isinstance(found, dict) and found.get("@class") == "Job":
        yield found["uuid"], found["index"]
    elif isinstance(found, dict):
        yield from _new_jobs(found.get("jobs"))
    elif isinstance(found, list):
        for item in found:
            yield from _new_jobs(item)
