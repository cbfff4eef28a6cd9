"""What a benchmark says of the machine: figures of a busy one are ratios, not seconds."""

from __future__ import annotations

import os
import platform
import time
from typing import Any


class Conditions:
    """The machine's load from here on; make one before the first measurement."""

    def __init__(self) -> None:
        self._started = time.time()
        self._load = os.getloadavg()[0]

    def as_dict(self) -> dict[str, Any]:
        """Processor, cores, load averages of a minute at the start and now, time in all."""
        return {
            "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
            "load_at_the_start": round(self._load, 2),
            "load_at_the_end": round(os.getloadavg()[0], 2),
            "seconds_in_all": round(time.time() - self._started, 1),
        }
