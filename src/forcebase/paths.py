"""Paths that a user gives, looked at before the work whose end they are for.

Nothing is made or changed: a folder that is not there yet can be written where the nearest one
above it can.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from forcebase.errors import DiskFullError, ForcebaseError, InputError


def check_readable(path: Path) -> None:
    """Check that a file is there and can be read.

    Raises:
        InputError: it is not.
    """
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise InputError(f"{path} is not there.", hint="Check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def check_writable(path: Path, suffixes: Sequence[str] = ()) -> None:
    """Check that a file can be written, over one that is there too.

    Args:
        path: of the file.
        suffixes: endings that it may have; any where there are none.

    Raises:
        InputError: it cannot, or its name has another ending.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{path} has another ending.", hint=f"End it in {', '.join(suffixes)}.")
    if path.is_dir():
        raise InputError(f"{path} is a folder.", hint="Name a file in it.")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path} cannot be written to: it is read only.")
    check_folder(path.parent, path)


def unwritable(path: Path, error: OSError) -> ForcebaseError:
    """What to say where a file could not be written: which disk is full, or what else is wrong."""
    if is_full(error):
        return disk_full(path)
    return InputError(
        f"{path} cannot be written: {error.strerror or error}.", hint="Choose another place."
    )


def is_full(error: BaseException) -> bool:
    """Whether there was no room left, on the disk or in what a user may take of it."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full(path: Path) -> DiskFullError:
    """Name the disk of a path, and what is left on it."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    while not place.is_mount():
        place = place.parent
    return DiskFullError(
        f"The disk of {place} is full ({free / 1e6:.1f} MB free): {path} cannot be written.",
        hint=f"Make room on {place}, or choose another place; then run the command again.",
        free_bytes=free,
    )


def check_folder(folder: Path, path: Path | None = None) -> None:
    """Check that files can be written into a folder, or into one made at its place.

    Args:
        folder: there or not.
        path: what is to be written, for the message; the folder by default.

    Raises:
        InputError: they cannot.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        if is_full(error):
            raise disk_full(path or folder) from None
        raise InputError(
            f"{path or folder} cannot be written to: {error.strerror}.",
            hint="Choose another place.",
        ) from None
