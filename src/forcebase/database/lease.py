"""A lock in the database for what one process at a time may do; it ends with its holder.

It is held for a minute at a time and renewed while the holder lives. All times are the server's. A
holder on the same machine whose process is gone loses it at once.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from pymongo.database import Database as MongoDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

from forcebase.errors import DatabaseError

SECONDS = 60
"""For which it is held without being renewed."""
_NAME = "held"
_UNTIL = {"$add": ["$$NOW", SECONDS * 1000]}


class Lease:
    """A lock that is held; see `held`."""

    def __init__(self, database: MongoDatabase, place: str) -> None:
        self._raw = database[place]
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def take(self) -> dict[str, Any] | None:
        """Take it; where another has it, give what is known of that one."""
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "token": self._token}
        change = [{"$set": {**holder, "since": "$$NOW", "until": _UNTIL}}]
        found = self._raw.find_one({"_id": _NAME})
        free: list[dict[str, Any]] = [{"$expr": {"$lt": ["$until", "$$NOW"]}}]
        if found and _is_dead(found):
            free.append({"token": found["token"]})
        if not self._raw.update_one({"_id": _NAME, "$or": free}, change).matched_count:
            try:
                mine = {"_id": _NAME, "token": self._token}
                self._raw.update_one(mine, change, upsert=True)
            except DuplicateKeyError:
                return self._raw.find_one({"_id": _NAME}) or {}
        self._thread.start()
        return None

    def check(self) -> None:
        """Raise DatabaseError where it was lost: this process slept for longer than it lasts."""
        if self._lost:
            raise DatabaseError(
                "Another process took over, for this one gave no sign of life for a minute.",
                hint="Look what the other does, and run the command again.",
            )

    def give_back(self) -> None:
        """Let the next one have it."""
        self._ended.set()
        self._thread.join()
        if self._raw.find_one({"_id": _NAME, "token": self._token}):
            self._raw.drop()  # with the lock in it: nobody can take it in between

    def _renew(self) -> None:
        while not self._ended.wait(SECONDS / 3):
            try:
                mine = {"_id": _NAME, "token": self._token}
                found = self._raw.update_one(mine, [{"$set": {"until": _UNTIL}}])
            except PyMongoError:  # the next time may be in time
                continue
            if not found.matched_count:
                self._lost = True
                return


@contextmanager
def held(database: MongoDatabase, place: str, doing: str) -> Iterator[Lease]:
    """Hold a lock of a database.

    Args:
        database: MongoDB's.
        place: collection that is there while it is held.
        doing: what is done to the database, for whoever is refused.

    Raises:
        DatabaseError: another process holds it.
    """
    lease = Lease(database, place)
    other = lease.take()
    if other is not None:
        since = f" since {other['since']:%H:%M} UTC" if "since" in other else ""
        raise DatabaseError(
            f"Database {database.name} is being {doing} by process {other.get('pid')} of "
            f"{other.get('host')}{since}: nothing was changed.",
            hint=f"Wait for its end; if it was killed on another machine, {SECONDS} s.",
        )
    try:
        yield lease
    finally:
        lease.give_back()


def is_held(database: MongoDatabase, place: str) -> bool:
    """Whether a process that lives holds a lock, as far as can be told from here."""
    query: dict[str, Any] = {"_id": _NAME, "$expr": {"$gte": ["$until", "$$NOW"]}}
    found = database[place].find_one(query)
    return found is not None and not _is_dead(found)


def _is_dead(holder: dict[str, Any]) -> bool:
    here = holder.get("host") == socket.gethostname()
    return here and not psutil.pid_exists(holder.get("pid", -1))
