"""The folder of an embedded server: its data, its log, and what only its owner may read."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forcebase.errors import DatabaseError

LOG_LIMIT = 50_000_000
"""bytes; a larger log is set aside at the next start, and the one before it goes."""
ROOM_TO_BEGIN = 500_000_000
"""bytes; a new data folder takes 301 MB at once (journal files made in advance), measured."""


class ServerHome:
    """Names and guards the files of one embedded server; two homes are two servers.

    Args:
        folder: where it is; links are followed, so that one folder has one name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "mongod.log"
        self.key = self.folder / "replica.key"
        self._lock = self.folder / "lock"
        self._password = self.folder / "password"
        self._port = self.folder / "port"

    def prepare(self) -> None:
        """Make what is missing, for the owner alone; the second time changes nothing.

        Raises:
            DatabaseError: it cannot be written, belongs to another user, is full, or holds
                other things, whose permissions a database has no right to change.
        """
        with self.guarded():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._check_owner()
            self._lock.touch(mode=0o600)
            self.folder.chmod(0o700)
        with self.locked(), self.guarded():
            if not (self.data / "WiredTiger").exists():
                self._check_room()
            self.data.mkdir(exist_ok=True, mode=0o700)
            _write_secret_once(self._password, secrets.token_urlsafe(32))
            _write_secret_once(self.key, base64.b64encode(secrets.token_bytes(96)).decode())

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn an error of the file system into a DatabaseError that says what to do."""
        try:
            yield
        except OSError as error:
            raise DatabaseError(
                f"The database folder {self.folder} cannot be used: {error.strerror or error}.",
                hint="Make room there, or set FORCEBASE_HOME to a folder that you can write to.",
            ) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One starter or stopper at a time; the lock goes with its process, however it ends."""
        with self.guarded():
            file = self._lock.open("a")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def is_prepared(self) -> bool:
        """Whether a server was ever started here."""
        with self.guarded():
            return self._password.is_file()

    @property
    def password(self) -> str:
        """The admin's password: not for eyes, logs or command lines."""
        with self.guarded():
            return self._password.read_text().strip()

    @property
    def password_file(self) -> Path:
        """Where the password is."""
        return self._password

    @property
    def port(self) -> int | None:
        """The port last used; None where it is not known."""
        try:
            return int(self._port.read_text())
        except (OSError, ValueError):
            return None

    @port.setter
    def port(self, port: int) -> None:
        if port != self.port:
            with self.guarded():
                _write_whole(self._port, str(port))

    @property
    def free_bytes(self) -> int:
        """Room left on its disk for this user."""
        return shutil.disk_usage(self.folder).free

    @property
    def log_is_long(self) -> bool:
        """Whether the log is over its limit."""
        with self.guarded():
            return self.log.is_file() and self.log.stat().st_size > LOG_LIMIT

    def set_log_aside(self) -> None:
        """Give way to a new log; of the old ones, the last is kept."""
        with self.guarded():
            self.log.replace(self.log.with_suffix(".log.1"))

    def _check_owner(self) -> None:
        if self.folder.stat().st_uid != os.geteuid():
            raise DatabaseError(
                f"The database folder {self.folder} belongs to another user.",
                hint="Set FORCEBASE_HOME to a folder of your own, or FORCEBASE_MONGODB_URI to "
                "share one database.",
            )
        if not self._lock.is_file() and any(self.folder.iterdir()):
            raise DatabaseError(
                f"The folder {self.folder} holds other things than a database.",
                hint="Set FORCEBASE_HOME to a new or empty folder.",
            )

    def _check_room(self) -> None:
        if self.free_bytes < ROOM_TO_BEGIN:
            raise DatabaseError(
                f"The disk of {self.folder} is too full for a new database: "
                f"{self.free_bytes // 10**6} MB free, {ROOM_TO_BEGIN // 10**6} MB needed.",
                hint="Make room there, or set FORCEBASE_HOME to a folder on another disk.",
                free_bytes=self.free_bytes,
            )


def _write_secret_once(path: Path, text: str) -> None:
    if path.is_file() and path.stat().st_size:
        path.chmod(0o600)
    else:
        _write_whole(path, text)


def _write_whole(path: Path, text: str) -> None:
    """Write all or nothing, for the owner alone, safe from a power cut."""
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
