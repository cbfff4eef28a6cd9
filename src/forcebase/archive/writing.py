"""Writing an archive: records as the database keeps them, in an order of their own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

from bson import decode_all

from forcebase.archive.contents import Contents, Root, everything, gather
from forcebase.archive.crate import Description, Facts, metadata_text, preview_text
from forcebase.archive.layout import (
    COMMENT_SIZE,
    MANIFEST,
    METADATA,
    PREVIEW,
    Manifest,
    Member,
    file_digest,
    manifest_text,
    new_member,
    order,
    stream_of,
)
from forcebase.database.database import Database
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.errors import InputError
from forcebase.integrity.backup import RAW
from forcebase.paths import check_writable, unwritable
from forcebase.progress import Progress
from forcebase.records.kinds import kind_of
from forcebase.scratch import appearing

RECORDS_AT_ONCE = 500
"""Documents asked for together: of 432 atoms each, 10 MB."""


def write_archive(
    db: Database,
    roots: Iterable[Root],
    target: Path,
    about: Description | None = None,
    progress: Progress | None = None,
) -> tuple[Path, Manifest]:
    """Write records with all that they were made from into one new file.

    The same records give the same bytes. Documents and blobs pass one after another; only ids
    are held all at once, and one blob. The file appears whole or not at all.

    Args:
        db: the database.
        roots: (collection, id) of the records; none for all that there are.
        target: a new file.
        about: for people.
        progress: told of each member.

    Raises:
        InputError: the file is there already or cannot be written, or there is no record.
        DiskFullError: there is no room for it.
        IntegrityError: a record or blob that is needed is not there, or was changed.
    """
    if target.exists():
        raise InputError(f"{target} is there already.", hint="Give another name.")
    check_writable(target)
    wanted = list(roots)
    contents = gather(db, wanted or everything(db))
    if not contents.roots:
        raise InputError("There is no record to export.", hint="`forcebase import` brings some.")
    if not wanted:
        contents.roots = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with appearing(target) as file:
            manifest = _write(db, contents, about or Description(), file, progress)
            _seal(file)
    except OSError as error:
        raise unwritable(target, error) from None
    return target, manifest


def _write(
    db: Database,
    contents: Contents,
    about: Description,
    file: IO[bytes],
    progress: Progress | None,
) -> Manifest:
    members: list[Member] = []
    facts = Facts()
    blobs = sorted(contents.blobs)
    total = len(order()) + len(blobs)

    def add(name: str, pieces: Iterable[bytes], documents: int = 0) -> None:
        members.append(_add(archive, name, pieces, documents))
        if progress is not None:
            progress("export", min(len(members), total), total, {})

    with ZipFile(file, "w") as archive:
        for name in order():
            ids = sorted(contents.ids[name])
            if ids:
                add(stream_of(name), facts.noted(name, _documents(db, name, ids)), len(ids))
        for sha256 in blobs:
            add(f"blobs/{sha256}", [db.blobs.get(sha256)])
        described = facts.described(contents, about, list(members))
        add(METADATA, [metadata_text(described).encode()])
        add(PREVIEW, [preview_text(described).encode()])
        manifest = Manifest(SCHEMA_VERSION, contents.roots, members)
        _add(archive, MANIFEST, [manifest_text(manifest).encode()], 0)
        archive.comment = b"0" * COMMENT_SIZE
    return manifest


def _add(archive: ZipFile, name: str, pieces: Iterable[bytes], documents: int) -> Member:
    digest, size = hashlib.sha256(), 0
    with archive.open(new_member(name), "w", force_zip64=True) as member:
        for piece in pieces:
            member.write(piece)
            digest.update(piece)
            size += len(piece)
    return Member(name, size, digest.hexdigest(), documents)


def _documents(db: Database, name: str, ids: list[str]) -> Iterator[bytes]:
    """The documents of these ids as the server keeps them, in the order of the ids."""
    shape: Any = kind_of(name).document
    hidden = dict.fromkeys(shape.OPEN_FIELDS, 0) or None  # they belong to this database
    for start in range(0, len(ids), RECORDS_AT_ONCE):
        some = {"_id": {"$in": ids[start : start + RECORDS_AT_ONCE]}}
        for batch in db.raw[name].find_raw_batches(some, hidden).sort("_id", 1):
            for document in decode_all(batch, RAW):
                yield document.raw


def _seal(file: IO[bytes]) -> None:
    """Make the comment the digest of all that stands before it."""
    size = file.seek(0, os.SEEK_END)
    digest = file_digest(file, size)
    file.seek(size - COMMENT_SIZE)
    file.write(digest.encode())
