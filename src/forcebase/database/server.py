"""The embedded MongoDB: a private mongod that starts by itself and outlives the process.

Everything is in one folder of mode 0700: data, log, and the files that only the owner can
read: the admin's password and the key of the one-node replica set. The server listens on
127.0.0.1 alone, with authentication, on a free port.
"""

from __future__ import annotations

import base64
import fcntl
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from forcebase.database.mongod_binary import find_mongod
from forcebase.database.mongod_log import last_words
from forcebase.database.private_file import write_private_file
from forcebase.database.replica_set import (
    HOST,
    REPLICA_SET,
    TIMEOUT_MS,
    admin_uri,
    bootstrap,
)
from forcebase.errors import DatabaseError

START_SECONDS = 60.0
STOP_SECONDS = 30.0
PASSWORD_SECONDS = 5.0
CACHE_GB = 1.0
LOG_LIMIT = 50_000_000
"""bytes; a larger log is set aside at the next start, and the one before it goes."""
PORT_ATTEMPTS = 3
PORT_TAKEN = "Address already in use"
UNAUTHORIZED = 13
"""MongoDB's error code for what only a user may do."""


@dataclass(frozen=True)
class ServerStatus:
    """What is known of the server; `uri` holds no password."""

    running: bool
    home: str
    data: str
    log: str
    pid: int | None = None
    port: int | None = None
    uri: str | None = None
    version: str | None = None
    uptime_s: float | None = None


class EmbeddedServer:
    """The mongod of one home folder; two homes are two servers.

    Args:
        home: its folder, made on the first start.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()  # one name for one folder, links or not
        self.data = self.home / "data"
        self.log = self.home / "mongod.log"
        self._password = self.home / "password"
        self._key = self.home / "replica.key"
        self._port = self.home / "port"

    @property
    def uri(self) -> str:
        """Where it listens, credentials included: not for eyes or logs."""
        return admin_uri(self._read_port(), self._password.read_text().strip())

    def start(self) -> ServerStatus:
        """Start it, or find the one that runs; concurrent starts wait for one another.

        Raises:
            DatabaseError: the folder cannot be written, there is no mongod, or it died at once
                (a full disk, a damaged data folder): its own words are in the message.
        """
        with self._usable_home():
            self._make_home()
            with self._locked():
                port = self._listening_port() or self._spawn()
                self._record_port(port)
                self._prepare(port)
        return self.status()

    def stop(self) -> bool:
        """Stop it cleanly; False when it was not running."""
        if not self.home.is_dir():
            return False
        with self._usable_home(), self._locked():
            process = self._process()
            if process is None:
                return False
            process.send_signal(signal.SIGTERM)  # mongod's own clean shutdown
            try:
                process.wait(STOP_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
            return True

    def status(self) -> ServerStatus:
        """Look, without starting anything."""
        place: dict[str, Any] = {
            "home": str(self.home),
            "data": str(self.data),
            "log": str(self.log),
        }
        process, port = self._process(), self._listening_port()
        if process is None or port is None:
            return ServerStatus(running=False, **place)
        try:
            uri = admin_uri(port, self._password.read_text().strip())
            client: MongoClient
            with MongoClient(uri, serverSelectionTimeoutMS=TIMEOUT_MS) as client:
                version = client.server_info()["version"]
        except (OSError, PyMongoError):
            version = None
        return ServerStatus(
            running=version is not None,
            pid=process.pid,
            port=port,
            uri=f"mongodb://{HOST}:{port}",
            version=version,
            uptime_s=round(time.time() - process.create_time(), 1),
            **place,
        )

    def _make_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.mkdir(exist_ok=True, mode=0o700)
        self.home.chmod(0o700)
        write_private_file(self._password, secrets.token_urlsafe(32))
        write_private_file(self._key, base64.b64encode(secrets.token_bytes(96)).decode())

    @contextmanager
    def _usable_home(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DatabaseError(
                f"The database folder {self.home} cannot be used: {error.strerror}.",
                hint="Make room or set FORCEBASE_HOME to a folder that you can write to.",
            ) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One starter or stopper at a time; the lock goes with its process."""
        with (self.home / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _process(self) -> psutil.Process | None:
        """The mongod on this data folder, by mongod's own pid file, checked by command line."""
        try:
            pid = int((self.data / "mongod.lock").read_text().strip() or 0)
            process = psutil.Process(pid)
            command = process.cmdline()
            if str(self.data) in command and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def _listening_port(self) -> int | None:
        """Port of the mongod that runs, from its command line."""
        process = self._process()
        try:
            command = process.cmdline() if process else []
            return int(command[command.index("--port") + 1])
        except (ValueError, psutil.Error):
            return None

    def _spawn(self) -> int:
        """Run mongod on the port it had before, or on any when that is taken; give the port."""
        if self.log.is_file() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        words = ""
        for attempt in range(PORT_ATTEMPTS):
            port = _free_port(None if attempt else self._recorded_port())
            log_start = self.log.stat().st_size if self.log.is_file() else 0
            process = self._run_mongod(port)
            if self._await_port(process, port):
                return port
            words = last_words(self.log, log_start)
            running = self._listening_port()
            if running is not None:  # one whose starter was killed before it had its pid file
                return running
            if PORT_TAKEN not in words:
                break
        raise DatabaseError(
            f"mongod stopped at its start: {words}",
            hint=f"Its log is {self.log}. `forcebase doctor` looks at disk and folders.",
        )

    def _run_mongod(self, port: int) -> subprocess.Popen:
        """Start it in a session of its own, so that it outlives this process."""
        command = [
            str(find_mongod(self.home)),
            *("--dbpath", str(self.data)),
            *("--logpath", str(self.log), "--logappend"),
            *("--bind_ip", HOST, "--port", str(port), "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--keyFile", str(self._key)),
            *("--wiredTigerCacheSizeGB", str(CACHE_GB)),
        ]
        with self.log.open("ab") as log:  # where it also says what keeps it from running at all
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.home,
            )

    def _await_port(self, process: subprocess.Popen, port: int) -> bool:
        """Wait until it listens; False when it stopped instead."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                return False
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex((HOST, port)) == 0:
                    return True
            time.sleep(0.05)
        process.terminate()
        raise DatabaseError(
            f"mongod did not answer within {START_SECONDS:.0f} s.", hint=f"Its log is {self.log}."
        )

    def _prepare(self, port: int) -> None:
        """Make the replica set and the admin, where an earlier start did not come so far."""
        start = time.monotonic()
        log_start = self.log.stat().st_size if self.log.is_file() else 0
        while True:
            try:
                bootstrap(port, self._password.read_text().strip())
                return
            except PyMongoError as error:
                waited = time.monotonic() - start
                if self._process() is None:
                    raise DatabaseError(
                        f"mongod stopped at its start: {last_words(self.log, log_start)}",
                        hint=f"Its log is {self.log}.",
                    ) from None
                if getattr(error, "code", None) == UNAUTHORIZED and waited > PASSWORD_SECONDS:
                    raise DatabaseError(
                        f"{self._password} is not the password of the database in {self.data}.",
                        hint="Bring the folder back from a copy in which both belong together.",
                    ) from None
                if waited > START_SECONDS:
                    raise DatabaseError(
                        f"The embedded database does not become ready: {error}",
                        hint=f"Its log is {self.log}; `forcebase db stop`, then try again.",
                    ) from None
                time.sleep(0.1)

    def _record_port(self, port: int) -> None:
        if port != self._recorded_port():
            part = self._port.with_suffix(".part")
            part.write_text(str(port))
            part.replace(self._port)

    def _recorded_port(self) -> int | None:
        try:
            return self._read_port()
        except (OSError, ValueError):
            return None

    def _read_port(self) -> int:
        return int(self._port.read_text())


def _free_port(preferred: int | None) -> int:
    """The port used before when it is free, so that written-down URIs hold; else any."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DatabaseError("There is no free port on 127.0.0.1.")
