"""The embedded MongoDB: a private mongod that starts by itself and outlives the process.

Everything is in one folder of mode 0700: data, log, and the files that only the owner can
read: the admin's password and the key of the one-node replica set. The server listens on
127.0.0.1 alone, with authentication, on a free port.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import psutil
from pymongo.errors import ConnectionFailure, PyMongoError

from forcebase.database import mongod_log, replica_set
from forcebase.database.mongod_binary import find_mongod
from forcebase.database.mongod_process import (
    HOST,
    PORT_TAKEN,
    end,
    find_process,
    free_port,
    launch,
    port_of,
)
from forcebase.database.server_home import ServerHome
from forcebase.errors import DatabaseError

ATTEMPTS = 4
LITTLE_ROOM = 150_000_000
"""bytes; mongod needs one journal file of 100 MB to start again."""


@dataclass(frozen=True)
class ServerStatus:
    """What is known of the server; `uri` holds no password.

    Attributes:
        running: it runs and answers to our password.
        uptime_s: seconds.
    """

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
        self.home = ServerHome(home)

    @property
    def uri(self) -> str:
        """Where it listens, credentials included: not for eyes or logs.

        The connection is direct: the member's address in the replica set changes with the
        port, and a client that asked for the set would follow an old one.

        Raises:
            DatabaseError: it was never started.
        """
        if not self.home.is_prepared or self.home.port is None:
            raise DatabaseError(
                f"The embedded database in {self.home.folder} was never started.",
                hint="Run: forcebase db start",
            )
        user = f"{replica_set.USER}:{quote(self.home.password, safe='')}"
        return f"mongodb://{user}@{HOST}:{self.home.port}/?authSource=admin&directConnection=true"

    def start(self) -> ServerStatus:
        """Start it, or find the one that runs; concurrent starts wait for one another.

        What a kill left behind at any moment, of mongod or of an earlier start, is repaired.

        Raises:
            DatabaseError: the folder cannot be used, there is no mongod, it died (a full disk,
                a damaged data folder; its own words are in the message), or it has another
                password.
        """
        self.home.prepare()
        with self.home.locked():
            for attempt in range(1, ATTEMPTS + 1):
                log_start = self._log_size()
                port = self._run()
                try:
                    replica_set.bring_up(HOST, port, self.home.password)
                    break
                except replica_set.WrongPasswordError:
                    raise self._wrong_password() from None
                except ConnectionFailure as error:  # it went away, or was going when found
                    if attempt == ATTEMPTS:
                        raise self._not_ready(log_start, error) from None
                except PyMongoError as error:
                    raise self._not_ready(log_start, error) from None
            self._bound_log()
        return self.status()

    def stop(self) -> bool:
        """Stop it cleanly; False when it was not running."""
        if not self.home.is_prepared:
            return False
        with self.home.locked():
            process = find_process(self.home.data)
            if process is None:
                return False
            end(process)
            return True

    def status(self) -> ServerStatus:
        """Look, without starting anything."""
        home = self.home
        found = ServerStatus(False, str(home.folder), str(home.data), str(home.log))
        process = find_process(home.data) if home.is_prepared else None
        port = port_of(process) if process else None
        if process is None or port is None:
            return found
        found = replace(found, pid=process.pid, port=port)
        try:
            with replica_set.connect(HOST, port, home.password) as client:
                version = client.server_info()["version"]
            age = round(time.time() - process.create_time(), 1)
        except (PyMongoError, psutil.Error):
            return found
        uri = f"mongodb://{HOST}:{port}"
        return replace(found, running=True, uri=uri, version=version, uptime_s=age)

    def _run(self) -> int:
        """Have a mongod on the data folder, a new one if need be; gives its port."""
        preferred = self.home.port
        for _ in range(ATTEMPTS):
            process = find_process(self.home.data)
            port = port_of(process) if process else None
            if port is None:
                port = free_port(preferred)
                if self.home.log_is_long:
                    self.home.set_log_aside()
                log_start = self._log_size()
                done = launch(find_mongod(self.home.folder), self.home, port, replica_set.NAME)
                words = self._last_words(log_start, done.output)
                if done.exit_code == PORT_TAKEN:  # between our look and its start
                    preferred = None
                    continue
                if done.exit_code and mongod_log.IN_USE in words:  # one that is coming or going
                    time.sleep(0.5)
                    continue
                if done.exit_code:
                    raise self._died(words)
            self.home.port = port
            return port
        raise self._died(words)

    def _bound_log(self) -> None:
        """Give a running server a new log where the old one is long."""
        if self.home.log_is_long and self.home.port:
            self.home.set_log_aside()
            with replica_set.connect(HOST, self.home.port, self.home.password) as client:
                client.admin.command("logRotate", "server")

    def _log_size(self) -> int:
        with self.home.guarded():
            return self.home.log.stat().st_size if self.home.log.is_file() else 0

    def _last_words(self, log_start: int, output: str = "") -> str:
        with self.home.guarded():
            return mongod_log.last_words(self.home.log, log_start) or mongod_log.printed(output)

    def _died(self, words: str) -> DatabaseError:
        free = self.home.free_bytes
        if free < LITTLE_ROOM:
            return DatabaseError(
                f"The disk of {self.home.folder} is full ({free // 10**6} MB free), and mongod "
                f"stopped: {words}",
                hint=f"Make room: mongod needs {LITTLE_ROOM // 10**6} MB to start.",
                free_bytes=free,
            )
        return DatabaseError(
            f"mongod stopped at its start: {words}", hint=mongod_log.advice(words, self.home.log)
        )

    def _not_ready(self, log_start: int, error: PyMongoError) -> DatabaseError:
        if find_process(self.home.data) is None:
            return self._died(self._last_words(log_start))
        return DatabaseError(
            f"The embedded database does not become ready: {error}",
            hint=f"Try again; if that fails, run: forcebase db stop. Its log is {self.home.log}.",
        )

    def _wrong_password(self) -> DatabaseError:
        return DatabaseError(
            f"The password in {self.home.password_file} is not that of the database in "
            f"{self.home.data}.",
            hint="Put the file back that belongs to it, or set FORCEBASE_HOME to a new folder.",
        )
