"""Folders and files that are there while they are worked on, and what killed processes left.

Each holds a lock of the operating system, which ends with its process, and has the process' number
in its name. What is neither locked nor of a living process was left, and goes when the next of its
kind is made.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

_PART = re.compile(r"\..+\.(\d+)\.part")


@contextmanager
def scratch_folder(purpose: str, parent: Path | None = None, sweep: bool = True) -> Iterator[Path]:
    """An empty folder that only its owner can read, gone at the end.

    Args:
        purpose: begins its name, and tells those of one kind.
        parent: where to make it; the folder for temporary files by default.
        sweep: look for what was left; not needed within another of the same purpose.
    """
    place = parent or Path(tempfile.gettempdir())
    prefix = f"{purpose}-"
    if sweep:
        _sweep(place, re.compile(rf"{re.escape(prefix)}(\d+)-\w+"))
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", dir=place) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            _try_lock(lock)
            yield Path(name)
        finally:
            os.close(lock)


@contextmanager
def appearing(target: Path) -> Iterator[IO[bytes]]:
    """A file that only its owner can read, and that is there when it is whole."""
    _sweep(target.parent, _PART)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _private(part) as file:
            _try_lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")


def _try_lock(descriptor: int) -> bool:
    """Lock a file or folder; False where another holds it, or the disk knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what dead processes left in a folder; what cannot be removed stays."""
    try:
        found = [entry for entry in os.scandir(folder) if names.fullmatch(entry.name)]
    except OSError:
        return
    for entry in found:
        number = names.fullmatch(entry.name)
        if number and not entry.is_symlink() and _is_left(entry.path, int(number[1])):
            if entry.is_dir():
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _is_left(path: str, pid: int) -> bool:
    """Whether no process of this machine, nor of another that shares the disk, is at it."""
    if psutil.pid_exists(pid):
        return False
    try:
        if Path(path).stat().st_uid != os.getuid():
            return False
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)
