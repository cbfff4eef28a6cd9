"""Documents beside the records: does each carry the checksum of what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from forcebase.integrity.findings import Finding, FindingKind
from forcebase.records import Sealed
from forcebase.records.base import CHECKSUM

RESTORE = "Find out who edited it; restore it from a backup, or make it again by `forcebase`."


def check_seals(shape: type[Sealed], rows: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """Compare the checksum of each document with what it says.

    Args:
        shape: their class.
        rows: whole stored documents.
    """
    name = shape.collection_name()
    for row in rows:
        stored = row.get(CHECKSUM)
        if not stored:
            words = "it was written without a checksum"
            hint = "Write by `forcebase`, of this version."
            yield Finding(FindingKind.UNSEALED, name, str(row["_id"]), words, hint)
        elif (now := shape.checksum_of(row)) != stored:
            words = "it was edited after it was written"
            yield Finding(
                FindingKind.RECORD_CHANGED, name, str(row["_id"]), words, RESTORE, stored, now
            )
