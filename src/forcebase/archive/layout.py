"""The layout of an archive: a zip with a crate's description, BSON streams and blobs.

Any tool that reads zip, JSON and BSON can read it. The archive's comment is the SHA-256 of all
bytes before it, so that no byte can change unseen. It holds no time but those of the records.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from forcebase.errors import InputError
from forcebase.ingest.unpacking import RECORDS
from forcebase.records import Activity, Name, Taint
from forcebase.records.kinds import part_kinds, record_kinds
from forcebase.safety.json_text import parse_json

FORMAT = "forcebase archive 1"
MANIFEST = RECORDS
METADATA = "ro-crate-metadata.json"
PREVIEW = "ro-crate-preview.html"
BESIDE_FILES = "|".join(map(re.escape, (MANIFEST, METADATA, PREVIEW)))
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time that zip gives each member: its earliest."""
LEVEL = 1
"""Of deflate: arrays of floats hardly shrink further."""
PIECE = 1 << 20
COMMENT_SIZE = 64


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: in the zip.
        bytes: its size.
        sha256: of its bytes.
        documents: how many a stream of records holds; 0 of other files.
    """

    name: str
    bytes: int
    sha256: str
    documents: int = 0


@dataclass(frozen=True)
class Manifest:
    """What is in an archive.

    Attributes:
        schema_version: of the records.
        roots: (collection, id) of the records that were asked for; empty for all.
        members: all files but the manifest, in the order of the zip.
    """

    schema_version: int
    roots: list[tuple[str, str]]
    members: list[Member]

    @property
    def documents(self) -> dict[str, int]:
        """How many there are of each collection."""
        streams = {member.name: member.documents for member in self.members}
        return {name: streams.get(stream_of(name), 0) for name in order()}

    @property
    def blobs(self) -> list[str]:
        """SHA-256 of the blobs."""
        return [m.name.split("/")[1] for m in self.members if m.name.startswith("blobs/")]


def order() -> tuple[str, ...]:
    """Collections as they are written: what is named first, but for the dataset of a model."""
    records = [
        name
        for kind in record_kinds()
        for name in (*(p.name for p in part_kinds(kind.name)), kind.name)
    ]
    first, last = [Activity], [Name, Taint]
    return (
        *(shape.collection_name() for shape in first),
        *records,
        *(shape.collection_name() for shape in last),
    )


def is_member(name: str) -> bool:
    """Whether an archive may have a member of this name."""
    streams = "|".join(map(re.escape, order()))
    pattern = rf"{BESIDE_FILES}|records/({streams})\.bson|blobs/[0-9a-f]{{64}}"
    return re.fullmatch(pattern, name) is not None


def stream_of(collection: str) -> str:
    """Name of a collection's stream."""
    return f"records/{collection}.bson"


def new_member(name: str) -> ZipInfo:
    """A member that says nothing of when and by whom it was written."""
    info = ZipInfo(name, EPOCH)
    info.compress_type = ZIP_DEFLATED
    info._compresslevel = LEVEL  # type: ignore[attr-defined] # public from Python 3.13 on
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def manifest_text(manifest: Manifest) -> str:
    """The manifest as it is stored."""
    return json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1, sort_keys=True) + "\n"


def read_manifest(archive: ZipFile) -> Manifest:
    """Read the manifest.

    Raises:
        InputError: it is of another format, or has not the form of a manifest.
    """
    try:
        content: dict[str, Any] = parse_json(archive.read(MANIFEST))
        if content.pop("format") != FORMAT:
            raise InputError("The archive has another format.", hint="Upgrade forcebase.")
        members = [Member(**entry) for entry in content.pop("members")]
        roots = [(str(place), str(record)) for place, record in content.pop("roots")]
        version = int(content.pop("schema_version"))
        return Manifest(version, roots, members, **content)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise InputError(
            f"{archive.filename}: its manifest cannot be read.",
            hint="Give a file of `forcebase export`.",
        ) from None


def file_digest(file: IO[bytes], size: int) -> str:
    """SHA-256 of all bytes of a file before its comment, 64 hex digits."""
    digest = hashlib.sha256()
    file.seek(0)
    left = size - COMMENT_SIZE
    while left > 0 and (piece := file.read(min(PIECE, left))):
        digest.update(piece)
        left -= len(piece)
    return digest.hexdigest()


def comment_holds(path: Path, comment: bytes) -> bool:
    """Whether the comment is the digest of all bytes before it."""
    with path.open("rb") as file:
        return file_digest(file, path.stat().st_size).encode() == comment
