"""A failure of MongoDB that comes of its disk: which one is full, and how much is left."""

from __future__ import annotations

from pymongo.errors import ConnectionFailure, PyMongoError

from forcebase.database.server import LITTLE_ROOM
from forcebase.database.server_home import ServerHome
from forcebase.errors import DiskFullError
from forcebase.settings import Settings

OUT_OF_DISK_SPACE = 14031


def full_disk_behind(settings: Settings, error: BaseException) -> DiskFullError | None:
    """Give the error to tell instead, where the server had no room; None where that is not why.

    mongod ends where it cannot write, so that a client sees a lost connection and no more: then
    the room on the disk of the embedded server is looked at.

    Args:
        settings: of the connection.
        error: of pymongo, or raised for one.
    """
    cause = error if isinstance(error, PyMongoError) else error.__cause__
    said = is_out_of_space(error) or is_out_of_space(cause)
    if settings.mongodb_uri is not None:
        if not said:
            return None
        return DiskFullError(
            "The disk of the MongoDB server is full: it refuses to write.",
            hint="Ask who runs it to make room; what was written before is kept.",
        )
    free = ServerHome(settings.home).free_bytes
    if not said and not (isinstance(cause, ConnectionFailure) and free < LITTLE_ROOM):
        return None
    return DiskFullError(
        f"The disk of {settings.home} is full ({free / 1e6:.1f} MB free), and MongoDB, which keeps "
        "its data there, cannot write.",
        hint=f"Make room: mongod needs {LITTLE_ROOM // 10**6} MB to start. What was written before "
        "is kept: run the command again.",
        free_bytes=free,
    )


def is_out_of_space(error: BaseException | None) -> bool:
    """Whether the server itself says that its disk is full."""
    return getattr(error, "code", None) == OUT_OF_DISK_SPACE or "No space left" in str(error)
