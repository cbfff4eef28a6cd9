"""The mongod process: found by its data folder, started detached, ended cleanly."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from forcebase.database.server_home import ServerHome
from forcebase.errors import DatabaseError

HOST = "127.0.0.1"
START_SECONDS = 120.0
END_SECONDS = 30.0
PORT_SECONDS = 1.0
CACHE_GB = "1"
OPLOG_MB = "990"
"""MongoDB's smallest by the book; its default, 5% of the free disk, is for real replica sets."""
PORT_TAKEN = 48
"""mongod's exit code."""


@dataclass(frozen=True)
class Launch:
    """How a start of mongod went: its exit code, 0 for listening, and what it printed."""

    exit_code: int
    output: str


def find_process(data: Path) -> psutil.Process | None:
    """Find the mongod on this data folder.

    mongod's own lock file names the process; after a kill that number may be anybody's, so
    its command line has to name the folder too.
    """
    try:
        process = psutil.Process(int((data / "mongod.lock").read_text()))
        command = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (OSError, ValueError, psutil.Error):
        return None
    return process if _argument(command, "--dbpath") == str(data) else None


def port_of(process: psutil.Process) -> int | None:
    """The port it was started on; None when it has just gone."""
    try:
        return int(_argument(process.cmdline(), "--port") or "")
    except (psutil.Error, ValueError):
        return None


def launch(mongod: Path, home: ServerHome, port: int, replica_set: str) -> Launch:
    """Start a mongod that outlives this process; return when it listens or has failed.

    Raises:
        DatabaseError: the file cannot be run, or there is no answer in two minutes.
    """
    command = [
        *(str(mongod), "--fork"),
        *("--dbpath", str(home.data)),
        *("--logpath", str(home.log), "--logappend", "--logRotate", "reopen", "--quiet"),
        *("--bind_ip", HOST, "--port", str(port), "--nounixsocket"),
        *("--replSet", replica_set, "--oplogSize", OPLOG_MB, "--keyFile", str(home.key)),
        *("--wiredTigerCacheSizeGB", CACHE_GB),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, not for the server
            cwd=home.folder,
            timeout=START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DatabaseError(
            f"mongod does not listen after {START_SECONDS:.0f} s.",
            hint=f"After a kill it may still be recovering: try again. Its log is {home.log}.",
        ) from None
    except OSError as error:
        raise DatabaseError(
            f"{mongod} cannot be run: {error.strerror}.",
            hint="Install MongoDB, so that another mongod is on PATH, or set "
            "FORCEBASE_MONGODB_URI to a server that runs.",
        ) from None
    return Launch(done.returncode, done.stdout.decode(errors="replace"))


def end(process: psutil.Process) -> None:
    """End it: by SIGTERM, mongod's own clean shutdown; after half a minute, by force."""
    for end_signal in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.send_signal(end_signal)
        except psutil.NoSuchProcess:
            return
        if _is_gone(process, END_SECONDS):
            return
    raise DatabaseError(f"mongod, process {process.pid}, cannot be ended.")


def free_port(preferred: int | None) -> int:
    """The port used before when it is free, so that addresses written down hold; else any.

    The port used before is waited for a little: a killed mongod holds it while it dies.
    """
    end_time = time.monotonic() + PORT_SECONDS
    while preferred and time.monotonic() < end_time:
        if _bound_port(preferred):
            return preferred
        time.sleep(0.1)
    port = _bound_port(0)
    if port is None:
        raise DatabaseError(f"There is no free port on {HOST}.")
    return port


def _bound_port(port: int) -> int | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return None
        return int(probe.getsockname()[1])


def _is_gone(process: psutil.Process, seconds: float) -> bool:
    """Wait for it; a zombie counts as gone, for some containers never reap one."""
    end_time = time.monotonic() + seconds
    while time.monotonic() < end_time:
        try:
            if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
                return True
            if not process.is_running():
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def _argument(command: list[str], option: str) -> str | None:
    place = command.index(option) + 1 if option in command else len(command)
    return command[place] if place < len(command) else None
