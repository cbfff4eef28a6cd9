"""Processes that are killed in the middle of writing to a database, and one that never is."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

from pymongo import monitoring
from waiting import PATIENCE

from forcebase.database.database import Database
from forcebase.settings import Settings

FORK = multiprocessing.get_context("fork")
WRITES = {"insert", "update", "delete", "findAndModify", "commitTransaction"}


class Executioner(monitoring.CommandListener):
    """Kills this process as soon as its n-th write is answered."""

    def __init__(self, n: int) -> None:
        self.left = n

    def started(self, event: Any) -> None:
        """A write that only left may or may not arrive: random moments are another test."""

    def succeeded(self, event: Any) -> None:
        self._count(event)

    def failed(self, event: Any) -> None:
        self._count(event)

    def _count(self, event: Any) -> None:
        if event.command_name in WRITES:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def started_in(
    settings: Settings, work: Callable[[Database], Any], executioner: Executioner | None = None
) -> Any:
    """Start work on a database in a process of its own, which an executioner may end."""

    def run() -> None:
        if executioner:
            monitoring.register(executioner)
        db = Database(settings)
        work(db)
        db.close()

    process = FORK.Process(target=run)
    process.start()
    return process


def was_killed(settings: Settings, work: Callable[[Database], Any], n: int) -> bool:
    """Do work in a process that is killed at its n-th write; False where it has fewer."""
    process = started_in(settings, work, Executioner(n))
    process.join(timeout=PATIENCE)
    assert process.exitcode in (0, -signal.SIGKILL)
    return bool(process.exitcode)
