"""Every digest of an archive, checked against its bytes, before anything of it is believed."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import bson

from forcebase.archive.earlier import in_todays_shape
from forcebase.archive.layout import (
    MANIFEST,
    PIECE,
    Manifest,
    Member,
    comment_holds,
    order,
    read_manifest,
    stream_of,
)
from forcebase.database.installation import FIRST_SEALED
from forcebase.database.schema import OLDEST_READABLE, SCHEMA_VERSION
from forcebase.digest import merkle_root
from forcebase.errors import InputError, IntegrityError
from forcebase.integrity.archive import split_documents
from forcebase.integrity.batches import batches
from forcebase.integrity.stored_view import (
    shape_of,
    stored_digest,
)
from forcebase.progress import Progress
from forcebase.provenance.references import blobs_of, may_be_elsewhere, references_of
from forcebase.records import DatasetMember
from forcebase.records.base import CHECKSUM
from forcebase.records.dataset import DROPPED
from forcebase.records.kinds import kind_of
from forcebase.safety.recursion import usual_recursion_limit

AGAIN = "Copy or export it again; nothing was written."


@dataclass
class _Found:
    """What the records of an archive name, and what there is.

    Attributes:
        ids: of the records, by collection.
        named: ids that records name, by collection; a structure's parent may be elsewhere.
        blobs: SHA-256 of blobs that records name.
        leaves: of the Merkle tree of each dataset.
        roots: that each dataset was frozen with.
    """

    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    named: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    blobs: set[str] = field(default_factory=set)
    leaves: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    roots: dict[str, str] = field(default_factory=dict)


def check_archive(archive: ZipFile, path: Path, progress: Progress | None = None) -> Manifest:
    """Read everything once: each file's digest, each record's, and all that records name.

    Raises:
        InputError: it is not an archive, or of a newer forcebase.
        IntegrityError: something in it is not what it is called; the message names it.
    """
    try:
        manifest = read_manifest(archive)
    except (BadZipFile, EOFError, OSError, NotImplementedError, zlib.error) as error:
        raise _damaged(path, MANIFEST, str(error)) from None
    if manifest.schema_version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {manifest.schema_version}; this forcebase knows "
            f"up to {SCHEMA_VERSION}.",
            hint="Upgrade forcebase.",
        )
    if manifest.schema_version < OLDEST_READABLE:
        raise InputError(
            f"{path} has schema version {manifest.schema_version}; this forcebase reads "
            f"{OLDEST_READABLE} to {SCHEMA_VERSION}.",
            hint="Import it with the forcebase that wrote it, upgrade, and export again.",
        )
    if [*(m.name for m in manifest.members), MANIFEST] != archive.namelist():
        raise _damaged(path, MANIFEST, "it names other files than there are")
    for n, member in enumerate(manifest.members):
        _check_member(archive, path, member)
        if progress is not None:
            progress("check", n + 1, len(manifest.members), {})
    if not comment_holds(path, archive.comment):
        raise _damaged(path, "its table of contents", "the digest of the whole file differs")
    with usual_recursion_limit():
        _check_records(archive, path, manifest)
    return manifest


def documents_of(archive: ZipFile, collection: str) -> Iterator[bytes]:
    """Yield the documents of a collection as BSON; none where the archive has no such stream."""
    if stream_of(collection) in archive.namelist():
        with archive.open(stream_of(collection)) as stream:
            yield from split_documents(stream)


def _check_member(archive: ZipFile, path: Path, member: Member) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(member.name) as stream:
            for piece in _pieces(stream):
                digest.update(piece)
                size += len(piece)
    except (BadZipFile, EOFError, OSError, ValueError, NotImplementedError, zlib.error) as error:
        raise _damaged(path, member.name, str(error)) from None
    if (size, digest.hexdigest()) != (member.bytes, member.sha256):
        raise _damaged(path, member.name, "its digest is another")
    if member.name.startswith("blobs/") and member.name != f"blobs/{member.sha256}":
        raise _damaged(path, member.name, "its bytes are not those of its name")


def _pieces(stream: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: stream.read(PIECE), b"")


def _check_records(archive: ZipFile, path: Path, manifest: Manifest) -> None:
    """Every record is what its id says, and what the records name is in the archive."""
    found = _Found()
    for name in order():
        kind: Any = kind_of(name)
        n = 0
        try:
            for some in batches(documents_of(archive, name)):
                documents = [bson.decode(raw) for raw in some]
                together = kind.document.digests_of(documents) if kind.is_record else {}
                for document in documents:
                    n += 1
                    digest = together.get(document["_id"])
                    _check_document(name, document, found, digest, manifest.schema_version)
                    _check_seal(name, document, manifest.schema_version)
        except Exception as error:  # whatever a document made by hand may raise
            words = f"{type(error).__name__}: {error}"[:300]
            raise _damaged(path, f"record {n} of {stream_of(name)}", words) from None
        if n != manifest.documents[name]:
            raise _damaged(path, stream_of(name), f"it holds {n} documents")
    for place, named in found.named.items():
        if missing := named - found.ids[place]:
            raise _damaged(path, stream_of(place), f"{sorted(missing)[0]} is not in it")
    if found.blobs != set(manifest.blobs):
        odd = sorted(found.blobs ^ set(manifest.blobs))[0]
        raise _damaged(path, f"blobs/{odd}", "records and blobs do not fit")
    for dataset, root in found.roots.items():
        if merkle_root(found.leaves[dataset]) != root:
            raise _damaged(path, stream_of("dataset_members"), f"not those of dataset {dataset}")


def _check_document(
    name: str, document: dict[str, Any], found: _Found, digest: str | None, version: int
) -> None:
    """Raise ValueError, or what mongoengine raises, unless a document is a sound record.

    Args:
        name: of its collection.
        document: as it is stored.
        found: is told of it.
        digest: of its content, where it is known already.
        version: of the schema of which the archive is.
    """
    kind = kind_of(name)
    shape: Any = shape_of(document, kind.document)
    now = in_todays_shape(name, document) if version < SCHEMA_VERSION else document
    shape._from_son(now).validate()
    record = document["_id"]
    if record in found.ids[name]:
        raise ValueError(f"{record} is there twice")
    found.ids[name].add(record)
    if kind.is_record:
        if (digest or stored_digest(document, kind.document)) != record:
            raise ValueError(f"{record} is not what it is called")
        for role, place, other in references_of(name, document):
            if not may_be_elsewhere(name, role):
                found.named[place].add(other)
        found.blobs.update(blobs_of(name, document))
    if name == "datasets":
        found.roots[record] = document["members_root"]
    if name == "dataset_members":
        found.named["datasets"].add(document["dataset"])
        found.named["calculations"].add(document["calculation"])
        if document["split"] != DROPPED:
            leaf = DatasetMember.leaf(document["calculation"], document["split"])
            found.leaves[document["dataset"]].append(leaf)
    if name == "labels":
        found.named[document["collection"]].add(document["record"])
    if name == "taints":
        found.named[document["collection"]].add(record)


def _check_seal(name: str, document: dict[str, Any], version: int) -> None:
    """Raise ValueError unless a document has the checksum that it says."""
    kind = kind_of(name)
    shape: Any = kind.document
    unsealed = CHECKSUM not in document and version < FIRST_SEALED and not kind.is_record
    if not unsealed and document.get(CHECKSUM) != shape.checksum_of(document):
        raise ValueError(f"{document['_id']} has another checksum than it says")


def _damaged(path: Path, part: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{path} is damaged: {part}: {reason}.", hint=AGAIN, part=part)
