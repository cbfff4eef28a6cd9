"""What an activity wrote: how many records of each collection, and the Merkle root of their ids.

It is kept with the activity, so that a record which is removed later is missed. Ids are named by
the root alone where they are many, and listed where they are few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bson.raw_bson import RawBSONDocument

from forcebase.digest import bytes_digest, merkle_root

ID_BYTES = 32
FEW = 100
"""Ids that are listed beside their root."""
_ID_FIRST = b"\x02_id\x00\x41\x00\x00\x00"
"""In BSON, behind the document's length: the id, a text of 64 characters."""
_ID_START, _ID_END = 4 + len(_ID_FIRST), 4 + len(_ID_FIRST) + 64


class Written:
    """Collects the ids of records that one activity writes, 32 bytes each."""

    def __init__(self, activity: str) -> None:
        self.activity = activity
        self._ids: dict[str, list[bytes]] = defaultdict(list)

    def take(self, collection: str, ids: Iterable[str]) -> None:
        """Count records in; one that was taken before is not counted again."""
        self._ids[collection].extend(map(packed, ids))

    def summary(self) -> dict[str, dict[str, Any]]:
        """Collection -> n, root, and the ids where they are few."""
        return {name: summary_of(ids) for name, ids in sorted(self._ids.items()) if ids}


def summary_of(ids: Iterable[bytes]) -> dict[str, Any]:
    """Count and Merkle root of ids, 32 bytes each; and the ids where they are few."""
    found = sorted({one.hex() for one in ids})
    summary: dict[str, Any] = {"n": len(found), "root": merkle_root(found)}
    return {**summary, "ids": found} if len(found) <= FEW else summary


def packed(record: object) -> bytes:
    """An id in 32 bytes; what is not a digest, as of a document edited by hand, by its digest."""
    try:
        found = bytes.fromhex(str(record))
    except ValueError:
        found = b""
    return found if len(found) == ID_BYTES else bytes.fromhex(bytes_digest(str(record).encode()))


def id_of(document: Mapping[str, Any]) -> str:
    """The id of a record's stored form, without decoding the rest of one in BSON."""
    if isinstance(document, RawBSONDocument):
        raw = document.raw
        if raw[4:_ID_START] == _ID_FIRST:
            return raw[_ID_START:_ID_END].decode()
    return str(document["_id"])
