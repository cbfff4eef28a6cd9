"""Waiting for what another process or thread does: long enough for a machine that is busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 300.0
"""s; only a test that fails waits so long."""


def wait_until(
    what: Callable[[], Any],
    otherwise: Callable[[], str] = lambda: "nothing came",
    seconds: float = PATIENCE,
    often: float = 0.05,
) -> Any:
    """Ask again and again until the answer is something, and give it.

    Args:
        what: gives something true in the end.
        otherwise: tells what is there instead, where it does not.
        seconds: until it has failed.
        often: seconds between two questions.
    """
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {otherwise()}"
        time.sleep(often)
    return found
