"""How much an input may hold: all limits of what is read from files, in one place.

Each keeps a broken or hostile file from taking the machine, and is far above what real files need.
`FORCEBASE_LIMIT_<NAME>` in the environment raises (or lowers) one.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forcebase.errors import InputError

PREFIX = "FORCEBASE_LIMIT_"


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        name: as in the environment's `FORCEBASE_LIMIT_<name>`.
        default: the largest number that is let pass.
        unit: of it, for messages.
    """

    name: str
    default: int
    unit: str

    @property
    def value(self) -> int:
        """The limit in force.

        Raises:
            InputError: the environment says no whole number.
        """
        text = os.environ.get(PREFIX + self.name)
        if text is None:
            return self.default
        try:
            return int(text)
        except ValueError:
            raise InputError(
                f"{PREFIX}{self.name} is {text!r}, no whole number.", hint="Set one, or unset it."
            ) from None

    def check(self, found: int, what: str) -> None:
        """Refuse more than the limit.

        Raises:
            InputError: the message names the thing, the limit and how to raise it.
        """
        if found > self.value:
            raise InputError(
                f"{what} has {found:,} {self.unit}; the limit is {self.value:,}.",
                hint=f"Is it what it should be? {PREFIX}{self.name} raises the limit.",
            )


FILE_BYTES = Limit("FILE_BYTES", 4 << 30, "bytes")
"""Of one file, decompressed: a vasprun.xml of a long molecular dynamics run has 1 to 2 GB."""
TEXT_BYTES = Limit("TEXT_BYTES", 256 << 20, "bytes")
"""Of YAML and JSON, which take twenty times their size in memory: the YAML of a phonon with the
force constants of 432 atoms has 40 MB."""
ARCHIVE_BYTES = Limit("ARCHIVE_BYTES", 32 << 30, "bytes unpacked")
"""Of all that a .zip or .tar holds: it is unpacked into the temporary folder."""
ARCHIVE_RATIO = Limit("ARCHIVE_RATIO", 200, "bytes for each packed one")
"""Outputs of codes shrink 5 to 40 times; a bomb a thousand times."""
ARCHIVE_FREE_BYTES = 64 << 20
"""So much may come out of an archive or a compressed file however small it is."""
ARCHIVE_FILES = Limit("ARCHIVE_FILES", 200_000, "files")
DEPTH = Limit("DEPTH", 100, "levels of nesting")
"""Of YAML and JSON: documents of emmet have some 20."""
NODES = Limit("NODES", 20_000_000, "values")
"""Of YAML with its aliases written out, and of JSON, where commas and brackets are counted: 432
atoms' force constants have 1.7 million."""
ATOMS = Limit("ATOMS", 10_000_000, "atoms")
"""Of one structure."""
SUPERCELL_ATOMS = Limit("SUPERCELL_ATOMS", 200_000, "atoms in the supercell")
"""Of a phonon: force constants of all pairs of 30,000 atoms would fill 65 GB."""
FRAMES = Limit("FRAMES", 10_000_000, "structures")
"""Of one file."""
SECONDS = Limit("SECONDS", 1800, "seconds of reading")
"""For one file: the symmetry-adapted fit of a large phonon takes minutes."""
MEMORY_BYTES = Limit("MEMORY_BYTES", 8 << 30, "bytes of memory")
"""That reading one file may take beyond what the process had before."""


def check_size(path: Path) -> None:
    """Refuse a file that is too large to be read.

    Raises:
        InputError: it has more than `FILE_BYTES`.
        OSError: it cannot be looked at.
    """
    FILE_BYTES.check(path.stat().st_size, path.name)


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Give what happens inside a time and an amount of memory.

    In the main thread of a process the time is kept by an alarm; elsewhere memory alone is.

    Raises:
        InputError: it took more than `SECONDS` or `MEMORY_BYTES`.
    """
    with _memory(), _time(what):
        try:
            yield
        except MemoryError:
            raise InputError(
                f"{what} takes more memory than {MEMORY_BYTES.value:,} bytes.",
                hint=f"Is it what it should be? {PREFIX}MEMORY_BYTES raises the limit.",
            ) from None


class _TimeIsUpError(BaseException):
    """No Exception, so that no parser takes it for an error of the file."""


@contextmanager
def _time(what: str) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS.value)
    try:
        yield
    except _TimeIsUpError:
        raise InputError(
            f"{what} takes more than {SECONDS.value:,} seconds to read.",
            hint=f"Is it what it should be? {PREFIX}SECONDS raises the limit.",
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _memory() -> Iterator[None]:
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not on Linux
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = pages * resource.getpagesize() + MEMORY_BYTES.value
    for other in (soft, hard):
        if other != resource.RLIM_INFINITY:
            wanted = min(wanted, other)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
