"""A backup: the whole database in one file, all of one moment."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol

from bson import decode_all
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from forcebase.database.connection import supports_transactions
from forcebase.database.installation import stored_version
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.errors import DatabaseError, InputError
from forcebase.integrity.archive import Manifest, StoredCollection, Stream, member_of
from forcebase.integrity.archive import write_manifest as _write_manifest
from forcebase.paths import check_writable, unwritable
from forcebase.progress import Progress
from forcebase.scratch import appearing

LEVEL = 1
"""Of deflate: arrays of floats hardly shrink further."""
SNAPSHOT_ERRORS = (239, 246)
"""SnapshotTooOld, SnapshotUnavailable."""
RAW: CodecOptions = CodecOptions(document_class=RawBSONDocument)
SUFFIX = ".forcebase.zip"


class Whole(Protocol):
    """What is backed up: an opened database, or one that waits for its migration."""

    @property
    def client(self) -> Any:
        """The connection."""

    @property
    def raw(self) -> Any:
        """MongoDB's database."""


def write_backup(
    db: Whole, target: Path, progress: Progress | None = None
) -> tuple[Path, Manifest]:
    """Write everything in the database into one new file, readable by its owner only.

    On a replica set, as the embedded server is one, all of it is of one moment, whatever is
    written meanwhile. The file appears whole or not at all.

    Args:
        db: the database.
        target: a new file, or, without a suffix, a folder that a file named by database and time
            is put into.
        progress: told of each collection.

    Raises:
        InputError: the file is there already, or cannot be written.
        DiskFullError: there is no room for it.
        DatabaseError: it took longer than the server keeps a snapshot.
    """
    now = datetime.now(UTC)
    if target.is_dir() or not target.suffix:
        target = target / f"{db.raw.name}-{now:%Y%m%dT%H%M%SZ}{SUFFIX}"
    if target.exists():
        raise InputError(f"{target} is there already.", hint="Give another name.")
    check_writable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as file:
            manifest = _write(db, file, now, progress)
    except OSError as error:
        raise unwritable(target, error) from None
    except OperationFailure as error:
        if error.code not in SNAPSHOT_ERRORS:
            raise
        raise DatabaseError(
            "The server does not keep its past long enough for this backup.",
            hint="Raise its parameter minSnapshotHistoryWindowInSeconds, 300 by default.",
        ) from None
    return target, manifest


def _write(db: Whole, file: IO[bytes], now: datetime, progress: Progress | None) -> Manifest:
    consistent = supports_transactions(db.client)
    version = stored_version(db.raw) or SCHEMA_VERSION
    manifest = Manifest(db.raw.name, now.isoformat(), version, consistent)
    places = list(_collections(db))
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive,
        _session(db, consistent) as session,
    ):
        for done, (name, options) in enumerate(places):
            stream = Stream()
            with archive.open(member_of(name), "w", force_zip64=True) as member:
                for document in stream.pass_on(read_raw(db.raw[name], session)):
                    member.write(document)
            indexes = [dict(index) for index in db.raw[name].list_indexes()]
            entry = StoredCollection(name, options, indexes, stream.documents, stream.sha256)
            manifest.collections.append(entry)
            if progress is not None:
                progress("backup", done + 1, len(places), {name: stream.documents})
        _write_manifest(archive, manifest)
    return manifest


def _session(db: Whole, consistent: bool) -> AbstractContextManager[ClientSession | None]:
    return db.client.start_session(snapshot=True) if consistent else nullcontext()


def _collections(db: Whole) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and options of each collection, by name."""
    found = db.raw.list_collections(filter={"type": "collection"})
    for place in sorted(found, key=lambda place: place["name"]):
        if not place["name"].startswith("system."):
            yield place["name"], place.get("options", {})


def read_raw(collection: Any, session: ClientSession | None = None) -> Iterator[bytes]:
    """Yield the documents of a collection as the server keeps them, in its order."""
    for batch in collection.find_raw_batches(session=session):
        for document in decode_all(batch, RAW):
            yield document.raw
