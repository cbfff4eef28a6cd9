"""Blobs: are the bytes those of their digest, is each named by a record, and the other way round.

GridFS keeps a file as a head and chunks, and checks neither. There are two buckets: `blobs`, whose
files are named by their SHA-256, and `data` of the JobStore, whose files hold their digest inside.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.blob import DATA_STORE, Blob
from forcebase.database.blobs import BUCKET
from forcebase.database.database import Database
from forcebase.errors import IntegrityError
from forcebase.integrity.batches import batches
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.provenance.references import value_at
from forcebase.records.kinds import kinds
from forcebase.safety.json_text import parse_json

RESTORE = "Restore it from a backup, or collect or import again what it came from."
LEFT_OVER = "A writer was killed over it, or a record was removed: run again what wrote it."
RUN_AGAIN = "Restore it from a backup; what became records of it is not touched."


def check_blob(db: Database, sha256: str) -> Iterator[Finding]:
    """Compute the digest of one blob anew, chunk by chunk."""
    digest = hashlib.sha256()
    for data in _chunks(db, BUCKET, sha256):
        digest.update(data)
    found = digest.hexdigest()
    if found != sha256:
        words = "its bytes are no longer those of its name"
        yield Finding(
            FindingKind.BLOB_CHANGED, f"{BUCKET}.files", sha256, words, RESTORE, sha256, found
        )


def check_output_blob(db: Database, file: dict[str, Any]) -> Iterator[Finding]:
    """Look whether a heavy output of a job is whole, and of the digest that it says."""
    data = b"".join(_chunks(db, DATA_STORE, file["_id"]))
    words = ""
    if len(data) != file.get("length"):
        words = f"it has {len(data)} bytes of {file.get('length')}"
    else:
        try:
            content = parse_json(data)["data"]
            if isinstance(content, dict) and content.get("@class") == Blob.__name__:
                Blob.from_dict(content)
        except (IntegrityError, zlib.error) as error:
            words = f"its bytes were changed: {error}"
        except (ValueError, KeyError, TypeError, RecursionError):
            words = "it is not an output of a job"
    if words:
        uuid = (file.get("metadata") or {}).get("job_uuid", "")
        words = f"of job {uuid}: {words}"
        kind = FindingKind.BLOB_CHANGED
        yield Finding(kind, f"{DATA_STORE}.files", str(file["_id"]), words, RUN_AGAIN)


def _chunks(db: Database, bucket: str, name: Any) -> Iterator[bytes]:
    rows = db.raw[f"{bucket}.chunks"].find({"files_id": name}, {"data": 1}).sort("n", 1)
    return (row.get("data", b"") for row in rows)


def check_chunks(db: Database, bucket: str) -> Iterator[Finding]:
    """Look for chunks of files that are not there, by their index alone."""
    chunks = db.raw[f"{bucket}.chunks"]
    if "files_id_1_n_1" not in chunks.index_information():
        return  # nothing was ever written to it
    rows = chunks.find({}, {"files_id": 1, "_id": 0}).hint("files_id_1_n_1")
    for some in batches(groupby(row["files_id"] for row in rows)):
        names = [name for name, _ in some]
        files = db.raw[f"{bucket}.files"].find({"_id": {"$in": names}}, {"_id": 1})
        there = {file["_id"] for file in files}
        for name in names:
            if name not in there:
                words = "pieces of a file that is not there"
                kind = FindingKind.ORPHAN_CHUNKS
                yield Finding(kind, f"{bucket}.chunks", str(name), words, LEFT_OVER)


def check_names(db: Database) -> Iterator[Finding]:
    """Look for blobs that records name and are not there, and for those that no record names.

    The digests of all blobs are held at once: 64 bytes each.
    """
    heads = db.raw[f"{BUCKET}.files"].find({}, {"_id": 1})
    there = _column(head["_id"] for head in heads)
    unnamed = np.ones(len(there), dtype=bool)
    fields = [(kind.name, blob.field, blob.words) for kind in kinds() for blob in kind.blobs]
    for name, field, called in fields:
        found = db.collection(name).raw.find({field: {"$type": "string"}}, {field: 1})
        for rows in batches(found):
            names = [value_at(row, field) for row in rows]
            named = _column(iter(names))
            unnamed &= ~np.isin(there, named)
            missing = ~np.isin(named, there)
            for row, blob, is_missing in zip(rows, names, missing, strict=True):
                if is_missing:
                    words = f"its {called}, blob {blob[:10]}, is not there"
                    kind = FindingKind.BLOB_MISSING
                    yield Finding(kind, name, row["_id"], words, RESTORE, blob)
    for name in there[unnamed]:
        sha256 = name.decode()
        words = "no record names it"
        yield Finding(FindingKind.ORPHAN_BLOB, f"{BUCKET}.files", sha256, words, LEFT_OVER)


def _column(digests: Iterator[str]) -> NDArray[np.bytes_]:
    return np.array(list(digests), dtype="S64")
