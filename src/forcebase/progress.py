"""How far a long job is: jobs write lines to a file, whoever waits for them reads it.

A job may run in this process, in a subprocess or in a worker; a file named by an environment
variable reaches it in each case, and where there is none, reporting does nothing.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from forcebase.scratch import scratch_folder

VARIABLE = "FORCEBASE_PROGRESS"
POLL_SECONDS = 0.2
Progress = Callable[[str, int, int, dict[str, Any]], None]
"""Told of a stage: its name, how much is done, of how much, and numbers worth showing."""


def report(stage: str, done: int, total: int, **numbers: Any) -> None:
    """Say that `done` of `total` of a stage is done, with numbers worth showing."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    line = json.dumps({"stage": stage, "done": done, "total": total, "numbers": numbers})
    with suppress(OSError), Path(path).open("a") as file:  # nobody listens any more: go on
        file.write(line + "\n")


@contextmanager
def following(listener: Progress | None) -> Iterator[None]:
    """Let `listener(stage, done, total, numbers)` hear what jobs report meanwhile.

    An error of the listener does not stop the work: it is raised at the end.
    """
    if listener is None:
        yield
        return
    with scratch_folder("forcebase-progress") as folder:
        path = folder / "lines"
        path.touch()
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(path)
        stopped = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(_follow, path, listener, stopped)
            try:
                yield
            finally:
                stopped.set()
                if before is None:
                    del os.environ[VARIABLE]
                else:
                    os.environ[VARIABLE] = before
        reader.result()


def _follow(path: Path, listener: Progress, stopped: threading.Event) -> None:
    line = ""
    with path.open() as file:
        while True:
            last_round = stopped.is_set()
            for part in iter(file.readline, ""):
                line += part
                if line.endswith("\n"):  # else its writer is not done with it
                    entry = json.loads(line)
                    listener(entry["stage"], entry["done"], entry["total"], entry["numbers"])
                    line = ""
            if last_round:
                return
            stopped.wait(POLL_SECONDS)
