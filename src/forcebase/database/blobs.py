"""Large bytes in GridFS, named by their SHA-256: written once, checked on every read."""

from __future__ import annotations

import time

from gridfs import GridFS
from gridfs.errors import CorruptGridFile, FileExists, NoFile
from pymongo.database import Database as MongoDatabase

from forcebase.database.access import refusals_told
from forcebase.digest import bytes_digest
from forcebase.errors import IntegrityError, NotFoundError

BUCKET = "blobs"
WRITER_SECONDS = 10.0
"""A writer that has not finished one blob in this time is taken for dead."""


class BlobStore:
    """Content-addressed bytes of any size."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._files = GridFS(database, BUCKET)

    def put(self, data: bytes) -> str:
        """Keep the bytes and give their digest; keeping them twice changes nothing."""
        sha256 = bytes_digest(data)
        end = time.monotonic() + WRITER_SECONDS
        while not self._files.exists(sha256):
            try:
                with refusals_told(self._database):
                    self._files.put(data, _id=sha256)
            except FileExists:  # pieces are there: another writer is at it, or one died over it
                if time.monotonic() > end:
                    self._files.delete(sha256)
                else:
                    time.sleep(0.1)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Give the bytes.

        Raises:
            NotFoundError: there are none of that digest.
            IntegrityError: the stored bytes are no longer those of the digest.
        """
        try:
            data: bytes | None = self._files.get(sha256).read()
        except NoFile:
            raise NotFoundError(
                f"Blob {sha256[:10]} is not in the database.",
                hint="Collect or import again what it came from.",
                sha256=sha256,
            ) from None
        except CorruptGridFile:
            data = None
        if data is None or bytes_digest(data) != sha256:
            raise IntegrityError(
                f"Blob {sha256[:10]} was changed in the database: its bytes do not match its name.",
                hint="Restore it from a backup.",
                sha256=sha256,
            )
        return data

    def remove(self, sha256: str) -> None:
        """Free the bytes; whoever asks makes sure that nothing names them."""
        with refusals_told(self._database):
            self._files.delete(sha256)

    def __contains__(self, sha256: str) -> bool:
        return bool(self._files.exists(sha256))
