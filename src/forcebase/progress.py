"""How far a long job is: jobs write lines to a file, whoever waits for them reads it.

A job may run in this process, in a subprocess or in a worker; a file named by an environment
variable reaches it in each case, and where there is none, reporting does nothing.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VARIABLE = "FORCEBASE_PROGRESS"
POLL_SECONDS = 0.2
Listener = Callable[[str, int, int, dict[str, Any]], None]


def report(stage: str, done: int, total: int, **numbers: Any) -> None:
    """Say that `done` of `total` of a stage is done, with numbers worth showing."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    line = json.dumps({"stage": stage, "done": done, "total": total, "numbers": numbers})
    with Path(path).open("a") as file:
        file.write(line + "\n")


@contextmanager
def following(listener: Listener | None) -> Iterator[None]:
    """Let `listener(stage, done, total, numbers)` hear what jobs report meanwhile."""
    if listener is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="forcebase-progress-") as folder:
        path = Path(folder) / "lines"
        path.touch()
        before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(path)
        stopped = threading.Event()
        reader = threading.Thread(target=_follow, args=(path, listener, stopped), daemon=True)
        reader.start()
        try:
            yield
        finally:
            stopped.set()
            reader.join()
            if before is None:
                del os.environ[VARIABLE]
            else:
                os.environ[VARIABLE] = before


def _follow(path: Path, listener: Listener, stopped: threading.Event) -> None:
    with path.open() as file:
        while True:
            last_round = stopped.is_set()
            for line in iter(file.readline, ""):
                entry = json.loads(line)
                listener(entry["stage"], entry["done"], entry["total"], entry["numbers"])
            if last_round:
                return
            stopped.wait(POLL_SECONDS)
