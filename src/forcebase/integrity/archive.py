"""The file of a backup: a zip with one BSON stream for each collection, and a manifest.

Any tool that reads zip and BSON can read it. The manifest holds the number of documents and the
SHA-256 of each stream, and the options (validators) and indexes of each collection.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from bson import json_util

from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import InputError, IntegrityError
from forcebase.safety.recursion import usual_recursion_limit

FORMAT = "forcebase backup 1"
MANIFEST, CHECKSUM = "manifest.json", "manifest.sha256"
WITH_CHECKSUM = 8
"""Backups of this schema version on have a checksum of their manifest."""
LARGEST = 48 * 1024 * 1024
"""Bytes of a document: what a server lets a client send, with room."""


@dataclass(frozen=True)
class StoredCollection:
    """A collection in a backup.

    Attributes:
        name: its name.
        options: validator and the like, as `create` takes them.
        indexes: each as `listIndexes` gives it.
        documents: how many.
        sha256: of its stream, the documents one after another as MongoDB keeps them.
    """

    name: str
    options: dict[str, Any]
    indexes: list[dict[str, Any]]
    documents: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is in a backup.

    Attributes:
        database: name that it had.
        created_at: UTC, ISO.
        schema_version: of the records.
        snapshot: whether all collections are of one moment.
        collections: in the order of the file.
    """

    database: str
    created_at: str
    schema_version: int
    snapshot: bool
    collections: list[StoredCollection] = field(default_factory=list)

    def digest(self) -> str:
        """Names the content: equal for equal collections, whenever and wherever written."""
        streams = {c.name: [c.documents, c.sha256] for c in self.collections}
        return content_digest({"schema": self.schema_version, "collections": streams})

    @property
    def documents(self) -> int:
        """Documents of all collections."""
        return sum(collection.documents for collection in self.collections)


class Stream:
    """Counts and digests documents on their way."""

    def __init__(self) -> None:
        self.documents = 0
        self._sha256 = hashlib.sha256()

    def pass_on(self, documents: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the documents again."""
        for document in documents:
            self._sha256.update(document)
            self.documents += 1
            yield document

    @property
    def sha256(self) -> str:
        """Digest of all that passed."""
        return self._sha256.hexdigest()


def write_manifest(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Add the manifest, which makes the archive complete."""
    text = json_util.dumps({"format": FORMAT, **asdict(manifest)}, indent=1).encode()
    archive.writestr(MANIFEST, text)
    archive.writestr(CHECKSUM, bytes_digest(text))


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a backup for reading.

    Raises:
        InputError: there is no such file, or it is not a zip.
    """
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except zipfile.BadZipFile:
        raise InputError(
            f"{path} is not a backup, or is cut off.", hint="Give a file of `forcebase backup`."
        ) from None


def read_manifest(archive: zipfile.ZipFile) -> Manifest:
    """Read the manifest.

    Raises:
        InputError: this is not a backup, or one of a later format.
        IntegrityError: the manifest was changed.
    """
    try:
        text = archive.read(MANIFEST)
        with usual_recursion_limit():
            content = json_util.loads(text)
        if content.pop("format") != FORMAT:
            raise InputError("The backup has another format.", hint="Upgrade forcebase.")
        collections = [StoredCollection(**entry) for entry in content.pop("collections")]
        manifest = Manifest(collections=collections, **content)
        _check_unchanged(archive, text, manifest)
        return manifest
    except (InputError, IntegrityError):
        raise
    except Exception:  # of zip, of deflate, of JSON, or of MongoDB's values in it
        raise InputError(
            f"{archive.filename} is not a backup: its manifest cannot be read.",
            hint="Give a file of `forcebase backup`.",
        ) from None


def _check_unchanged(archive: zipfile.ZipFile, text: bytes, manifest: Manifest) -> None:
    if manifest.schema_version < WITH_CHECKSUM and CHECKSUM not in archive.namelist():
        return
    if archive.read(CHECKSUM) != bytes_digest(text).encode():
        raise IntegrityError(
            f"{archive.filename} is damaged: its manifest was changed.", hint="Use another backup."
        )


def member_of(collection: str) -> str:
    """Name of a collection's stream in the archive."""
    return f"{collection}.bson"


def read_documents(archive: zipfile.ZipFile, collection: str) -> Iterator[bytes]:
    """Yield the documents of a collection as BSON.

    Raises:
        IntegrityError: the stream is cut off or damaged.
    """
    try:
        with archive.open(member_of(collection)) as stream:
            yield from split_documents(stream)
    except (KeyError, EOFError, ValueError, OSError, zipfile.BadZipFile, zipfile.zlib.error):  # type: ignore[attr-defined]
        raise IntegrityError(
            f"{archive.filename} is damaged: collection {collection} cannot be read whole.",
            hint="Use another backup.",
        ) from None


def split_documents(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the BSON documents of a stream; EOFError or ValueError where it is none."""
    while head := stream.read(4):
        size = int.from_bytes(head, "little")
        if not 5 <= size <= LARGEST:
            raise ValueError(size)
        body = stream.read(size - 4)
        if len(body) != size - 4:
            raise EOFError
        yield head + body


def check_archive(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    """Read everything once, and check it against the manifest.

    Raises:
        IntegrityError: a collection is not what the manifest says.
    """
    for collection in manifest.collections:
        stream = Stream()
        for _ in stream.pass_on(read_documents(archive, collection.name)):
            pass
        require_same(collection, stream, str(archive.filename))


def require_same(collection: StoredCollection, stream: Stream, where: str) -> None:
    """Raise IntegrityError unless a stream is what the manifest says of its collection."""
    if (stream.documents, stream.sha256) != (collection.documents, collection.sha256):
        raise IntegrityError(
            f"Collection {collection.name} of {where} is not what was backed up: "
            f"{stream.documents} documents of {collection.documents}, or other bytes.",
            hint="Use another backup.",
            expected=collection.sha256,
            found=stream.sha256,
        )
