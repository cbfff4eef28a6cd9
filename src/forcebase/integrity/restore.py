"""Restoring a backup into an empty database: checked before, whole or not at all.

Everything is written beside the database's own collections, under names that begin with
`restoring.`, read back and checked against the backup; only then is it given its names, each in a
moment.
A restore that is killed before leaves an empty database; one killed while names are given is
finished by the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel
from pymongo.database import Database as MongoDatabase

from forcebase.database.access import access_of
from forcebase.database.connection import open_client
from forcebase.database.installation import META
from forcebase.database.lease import Lease, held
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.errors import AccessError, InputError
from forcebase.integrity.archive import (
    Manifest,
    StoredCollection,
    Stream,
    check_archive,
    open_archive,
    read_documents,
    read_manifest,
    require_same,
)
from forcebase.integrity.backup import read_raw
from forcebase.progress import Progress
from forcebase.settings import Settings

PREFIX = "restoring."
LOCK = "restore_lock"
"""Collection that is there while somebody restores."""
READY = "restoring"
"""Collection with one document: the digest of a backup that only needs its names."""
NEEDED = {"bypassDocumentValidation", "createCollection", "createIndex", "insert", "update"} | {
    "dropCollection",
    "renameCollectionSameDB",
}
"""Rights of MongoDB; what is restored is taken as it was, whatever the rules were then."""
BATCH_BYTES = 8 * 1024 * 1024


def restore_backup(settings: Settings, source: Path, progress: Progress | None = None) -> Manifest:
    """Restore a backup into the database that the settings name, which must be empty.

    Args:
        settings: where to.
        source: a file of `write_backup`.
        progress: told of each collection.

    Raises:
        InputError: the file is not a backup, is of a newer forcebase, or the database is not empty.
        DatabaseError: somebody else is restoring into it.
        IntegrityError: the file is damaged; nothing was written.
        AccessError: the user may not make collections.
    """
    with open_client(settings) as client:
        _require_rights(client[settings.database])
    with open_archive(source) as archive:
        manifest = read_manifest(archive)
        if manifest.schema_version > SCHEMA_VERSION:
            raise InputError(
                f"{source} has schema version {manifest.schema_version}; this forcebase knows "
                f"up to {SCHEMA_VERSION}.",
                hint="Upgrade forcebase.",
            )
        check_archive(archive, manifest)
        with open_client(settings) as client:
            database = client[settings.database]
            with held(database, LOCK, "restored") as lease:
                _restore(database, archive, manifest, lease, progress)
    return manifest


def _restore(
    database: MongoDatabase,
    archive: ZipFile,
    manifest: Manifest,
    lease: Lease,
    progress: Progress | None,
) -> None:
    if _finish(database) == manifest.digest():
        return
    _clear(database)
    _require_empty(database)
    for done, collection in enumerate(manifest.collections):
        lease.check()
        _write(database, archive, collection)
        if progress is not None:
            numbers = {collection.name: collection.documents}
            progress("restore", done + 1, len(manifest.collections), numbers)
    lease.check()
    _require_empty(database)
    database[READY].insert_one({"_id": manifest.digest()})
    _finish(database)


def _require_rights(database: MongoDatabase) -> None:
    access = access_of(database)
    if not access.may(NEEDED, META):
        raise AccessError(
            f"{access.who} may not restore: that makes collections and their rules.",
            hint="Ask an admin of the database.",
        )


def _require_empty(database: MongoDatabase) -> None:
    counts = {
        name: database[name].count_documents({}, limit=1)
        for name in database.list_collection_names()
        if name not in (META, READY, LOCK) and not name.startswith(("system.", PREFIX))
    }
    full = sorted(name for name, n in counts.items() if n)
    if full:
        raise InputError(
            f"Database {database.name} is not empty: it has {', '.join(full)}.",
            hint="Set FORCEBASE_DATABASE to another name, or FORCEBASE_HOME to another folder.",
        )


def _clear(database: MongoDatabase) -> None:
    """Drop what a restore that was killed left."""
    for name in database.list_collection_names():
        if name.startswith(PREFIX):
            database.drop_collection(name)


def _write(database: MongoDatabase, archive: ZipFile, collection: StoredCollection) -> None:
    """Write one collection under its other name, index it, and read it back."""
    name = PREFIX + collection.name
    target = database.create_collection(name, **collection.options)
    for documents in _batches(read_documents(archive, collection.name)):
        target.insert_many(documents, bypass_document_validation=True)
    indexes = [_index(index) for index in collection.indexes if index["name"] != "_id_"]
    if indexes:
        target.create_indexes(indexes)
    stream = Stream()
    for _ in stream.pass_on(read_raw(target)):
        pass
    require_same(collection, stream, f"database {database.name}")


def _batches(documents: Iterable[bytes]) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    for document in documents:
        batch.append(RawBSONDocument(document))
        size += len(document)
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _index(index: dict[str, Any]) -> IndexModel:
    options = {key: value for key, value in index.items() if key not in ("v", "key", "ns")}
    return IndexModel(list(index["key"].items()), **options)


def _finish(database: MongoDatabase) -> str | None:
    """Give all that is ready its names, and the digest of its backup; None where nothing is."""
    ready = database[READY].find_one()
    if ready is None:
        return None
    for name in sorted(database.list_collection_names()):
        if name.startswith(PREFIX):
            database[name].rename(name.removeprefix(PREFIX), dropTarget=True)
    database.drop_collection(READY)
    return str(ready["_id"])
