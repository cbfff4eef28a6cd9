"""The embedded MongoDB: a private mongod that starts by itself and outlives the process.

Everything is in one folder of mode 0700: data, log, and the files that only the owner can
read: the admin's password and the key of the one-node replica set. The server listens on
127.0.0.1 alone, with authentication, on a free port.
"""

from __future__ import annotations

import base64
import fcntl
import os
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
from urllib.parse import quote

import psutil
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from forcebase.database.mongod_binary import find_mongod
from forcebase.errors import DatabaseError

USER = "forcebase"
HOST = "127.0.0.1"
REPLICA_SET = "forcebase"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
CACHE_GB = 1.0
ALREADY_INITIALIZED = 23
"""MongoDB's error code for a second replSetInitiate."""
LOG_LIMIT = 50_000_000
"""bytes; a larger log is set aside at the next start, and the one before it goes."""


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
        self.home = home
        self.data = home / "data"
        self.log = home / "mongod.log"
        self._password = home / "password"
        self._key = home / "replica.key"
        self._port = home / "port"

    @property
    def uri(self) -> str:
        """Where it listens, credentials included: not for eyes or logs."""
        password = quote(self._password.read_text().strip(), safe="")
        return (
            f"mongodb://{USER}:{password}@{HOST}:{self._read_port()}"
            "/?authSource=admin&directConnection=true"
        )

    def start(self) -> ServerStatus:
        """Start it, or find the one that runs; concurrent starts wait for one another.

        Raises:
            DatabaseError: the folder cannot be written, there is no mongod, or it died at once
                (a full disk, a damaged data folder): its own words are in the message.
        """
        self._make_home()
        with self._locked():
            if self._process() is None:
                self._spawn()
            self._prepare()
        return self.status()

    def stop(self) -> bool:
        """Stop it cleanly; False when it was not running."""
        if not self.home.is_dir():
            return False
        with self._locked():
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
        place: dict[str, Any] = {"home": str(self.home), "data": str(self.data), "log": str(self.log)}
        process = self._process()
        if process is None or not self._password.is_file():
            return ServerStatus(running=False, **place)
        port = self._read_port()
        try:
            with self._client() as client:
                version = client.server_info()["version"]
        except PyMongoError:
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
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.data.mkdir(exist_ok=True, mode=0o700)
            self.home.chmod(0o700)
            _write_secret(self._password, secrets.token_urlsafe(32))
            _write_secret(self._key, base64.b64encode(secrets.token_bytes(96)).decode())
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

    def _spawn(self) -> None:
        """Start mongod in a session of its own, so that it outlives this process."""
        port = _free_port(self._recorded_port())
        self._port.write_text(str(port))
        if self.log.is_file() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        command = [
            str(find_mongod(self.home)),
            *("--dbpath", str(self.data)),
            *("--logpath", str(self.log), "--logappend"),
            *("--bind_ip", HOST, "--port", str(port), "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--keyFile", str(self._key)),
            *("--wiredTigerCacheSizeGB", str(CACHE_GB)),
        ]
        started_at = self.log.stat().st_size if self.log.is_file() else 0
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.home,
        )
        self._await_port(process, port, started_at)

    def _await_port(self, process: subprocess.Popen, port: int, log_start: int) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                raise DatabaseError(
                    f"mongod stopped at its start: {self._last_words(log_start)}",
                    hint=f"Its log is {self.log}. `forcebase doctor` looks at disk and folders.",
                )
            with socket.socket() as probe:
                probe.settimeout(0.5)
                if probe.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        process.terminate()
        raise DatabaseError(
            f"mongod did not answer within {START_SECONDS:.0f} s.", hint=f"Its log is {self.log}."
        )

    def _last_words(self, start: int) -> str:
        from forcebase.database.mongod_log import explanation

        try:
            with self.log.open(errors="replace") as file:
                file.seek(start)
                return explanation(file.readlines())
        except OSError:
            return "it left no log, as on a full disk."

    def _prepare(self) -> None:
        """Make the replica set and the user, where an earlier start did not come so far."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self._bootstrap()
                return
            except PyMongoError as error:
                if time.monotonic() > end:
                    raise DatabaseError(
                        f"The embedded database does not become ready: {error}",
                        hint=f"Its log is {self.log}; `forcebase db stop`, then try again.",
                    ) from None
                time.sleep(0.1)

    def _bootstrap(self) -> None:
        with self._client() as client:
            try:
                if _is_primary(client):
                    return
            except OperationFailure:
                pass  # no user yet: only a first start, or one cut off, gets here
            else:
                self._readdress(client)
                _await_primary(client)
                return
        with _local_client(self._read_port()) as client:  # the localhost exception
            member = f"{HOST}:{self._read_port()}"
            members = [{"_id": 0, "host": member}]
            try:
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            except OperationFailure as error:
                if error.code != ALREADY_INITIALIZED:
                    raise
            _await_primary(client)
            client.admin.command(
                "createUser", USER, pwd=self._password.read_text().strip(), roles=["root"]
            )

    def _readdress(self, client: MongoClient) -> None:
        """After a start on another port the replica set's only member has to learn its own."""
        config = client.admin.command("replSetGetConfig")["config"]
        member = f"{HOST}:{self._read_port()}"
        if config["members"][0]["host"] != member:
            config["members"][0]["host"] = member
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)

    def _client(self) -> MongoClient:
        return MongoClient(self.uri, serverSelectionTimeoutMS=5000)

    def _recorded_port(self) -> int | None:
        try:
            return self._read_port()
        except (OSError, ValueError):
            return None

    def _read_port(self) -> int:
        return int(self._port.read_text())


def _is_primary(client: MongoClient) -> bool:
    client.admin.command("ping")  # connecting fails without the user
    return bool(client.admin.command("hello").get("isWritablePrimary"))


def _await_primary(client: MongoClient) -> None:
    end = time.monotonic() + START_SECONDS
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > end:
            raise DatabaseError("The embedded database did not become primary.")
        time.sleep(0.05)


def _local_client(port: int) -> MongoClient:
    return MongoClient(HOST, port, directConnection=True, serverSelectionTimeoutMS=5000)


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


def _write_secret(path: Path, text: str) -> None:
    """Write once, whole, for the owner alone."""
    if path.is_file() and path.stat().st_size:
        path.chmod(0o600)
        return
    part = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    try:
        os.link(part, path)  # of two starters, the first one's secret stays
    except FileExistsError:
        pass
    finally:
        part.unlink()
