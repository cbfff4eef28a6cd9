"""forcebase doctor: what is installed, reachable, writable or stuck, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import typer
from pymongo.errors import PyMongoError
from rich.text import Text

from forcebase.cli.console import JsonOption, print_json, words
from forcebase.cli.tables import print_table
from forcebase.errors import ForcebaseError
from forcebase.models.mace_package import COMMAND as MACE_COMMAND
from forcebase.models.mace_package import is_installed
from forcebase.settings import Settings

NEEDED = ("ase", "atomate2", "jobflow", "mongoengine", "phonopy", "pymongo")
MACE_PACKAGES = {"mace": "mace-torch", "torch": "torch"}
"""Module -> the package that brings it."""
MACE_ADVICE = "to train, or to predict and compute phonons with a MACE: " + MACE_COMMAND
LEAST_FREE_GB = 2.0
GPAW_ADVICE = (
    "to run new DFT: apt install libxc-dev libopenblas-dev libopenmpi-dev, "
    "then pip install 'forcebase[dft]'"
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    needed: bool
    found: str
    advice: str = ""


def doctor(as_json: JsonOption = False) -> None:
    """Look at packages, disk, database and queue; exit code 1 when something needed is not well.

    It finds locks that killed runners left, jobs that wait for nothing and jobs that failed, and
    names the command that repairs each.

    Example:
      forcebase doctor
    """
    settings = Settings.from_environment()
    findings = [*_packages(), *_disk(settings), *_database(settings)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [[_mark(f), f.what, f.found, f.advice] for f in findings]
        print_table("forcebase doctor", ["", "what", "found", "what to do"], rows)
    if any(f.needed and not f.ok for f in findings):
        raise typer.Exit(1)


def _mark(finding: Finding) -> Text:
    if finding.ok:
        return words(("ok", "green"))
    return words(("fix", "red") if finding.needed else ("look", "yellow"))


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        try:
            yield Finding(name, True, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, True, "", f"pip install {name}")
    yield from _mace()
    yield _gpaw()


def _mace() -> Iterator[Finding]:
    for module, name in MACE_PACKAGES.items():
        if is_installed(module):
            yield Finding(name, True, False, importlib.metadata.version(name))
        else:
            yield Finding(name, False, False, "not installed", MACE_ADVICE)


def _gpaw() -> Finding:
    if importlib.util.find_spec("gpaw") is None:
        return Finding("gpaw", False, False, "not installed", GPAW_ADVICE)
    try:
        import gpaw

        return Finding("gpaw", True, False, gpaw.__version__)
    except Exception as error:
        return Finding("gpaw", False, False, f"cannot be imported: {error}", GPAW_ADVICE)


def _disk(settings: Settings) -> Iterator[Finding]:
    place = settings.home
    while not place.exists():
        place = place.parent
    writable = os.access(place, os.W_OK)
    yield Finding(
        "data folder",
        writable,
        settings.mongodb_uri is None,
        str(settings.home),
        "" if writable else "set FORCEBASE_HOME to a folder that you can write to",
    )
    free = shutil.disk_usage(place).free / 1e9
    enough = free > LEAST_FREE_GB
    advice = "" if enough else "make room, or move FORCEBASE_HOME to a larger disk"
    yield Finding("disk", enough, True, f"{free:.1f} GB free", advice)


def _database(settings: Settings) -> Iterator[Finding]:
    from forcebase.database.database import Database

    where = "FORCEBASE_MONGODB_URI" if settings.mongodb_uri else "embedded"
    try:
        db = Database(settings)
        try:
            version = db.client.server_info()["version"]
            yield Finding("MongoDB", True, True, f"{version} ({where})")
            yield Finding("user", True, False, _user(db.access))
            yield from _queue(db)
        finally:
            db.close()
    except ForcebaseError as error:
        yield Finding("MongoDB", False, True, f"{where}: {error.message}", error.hint or "")
    except PyMongoError as error:
        advice = "give this user the right to read and write the database"
        yield Finding("MongoDB", False, True, f"{where}: {type(error).__name__}", advice)


def _user(access: Any) -> str:
    if not access.is_checked:
        return "nobody is asked for a password"
    return f"{access.who}, who may {'write' if access.may_write else 'read'}"


def _queue(db: Any) -> Iterator[Finding]:
    """What will not go on by itself in the queue of jobflow-remote."""
    from forcebase.ingest.failures import FAILED
    from forcebase.remote.queue import list_jobs, locked_flows, long_locks
    from forcebase.remote.recovery import untold_flows

    for job in long_locks(db):
        held = "" if job.locked is None else f" for {_duration(job.locked)}"
        found = f"{job.state} and locked{held}, by a runner that was killed"
        yield _stuck(f"job {job.number} ({job.name})", found, f"forcebase jobs unlock {job.number}")
    for flow in locked_flows(db):
        found = "locked by a runner that was killed: its jobs cannot end"
        yield _stuck(f"flow {flow[:8]}", found, "forcebase jobs unlock")
    for flow in untold_flows(db):
        found = "a job waits, though all that it waits for is completed"
        yield _stuck(f"flow {flow[:8]}", found, "forcebase jobs unlock")
    failed = list_jobs(db, FAILED)
    if failed:
        numbers = " ".join(job.number for job in failed[:10]) + (" ..." if failed[10:] else "")
        advice = "see forcebase jobs --state failed,remote_error; fix the cause, then: "
        found = f"{len(failed)} failed: {numbers}"
        yield Finding("jobs", False, False, found, f"{advice}forcebase jobs rerun --failed")


def _stuck(what: str, found: str, command: str) -> Finding:
    return Finding(what, False, True, found, f"stop the runner, then: {command}")


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{seconds / 60:.0f} min"
