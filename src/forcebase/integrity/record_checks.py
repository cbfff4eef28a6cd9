"""Records one by one: is each what its id says, whole, and are those that it names there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from forcebase.database.collections import RecordCollection
from forcebase.database.database import Database
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.integrity.stored_view import stored_digest
from forcebase.provenance.references import may_be_elsewhere, references_of, unsaid_edges
from forcebase.records import ModelMethod
from forcebase.records.base import CHECKSUM, document_checksum

RESTORE = "Restore it from a backup, or import or collect again what it came from."
TAINT = "Find out who edited it; `forcebase taint` marks what depends on it until then."
ELSEWHERE = "Nothing need be done; import what holds it to have the lineage whole."
COMPUTE = "Compute or import what it lacks, or restore it from a backup."


def check_records(
    db: Database,
    collection: RecordCollection,
    rows: Sequence[dict[str, Any]],
    unfinished: Collection[str] = (),
) -> Iterator[Finding]:
    """Digest and checksum of each record, and all that they refer to.

    Args:
        db: the database.
        collection: theirs.
        rows: whole stored documents; a thousand at a time are looked up together.
        unfinished: activities whose records may lack what comes behind them.
    """
    sound = []
    together = collection.document.digests_of(rows)
    for row in rows:
        try:
            found = together.get(row["_id"]) or stored_digest(row, collection.document)
            list(references_of(collection.name, row))
        except Exception as error:  # whatever a document edited by hand may raise
            yield _finding(
                FindingKind.MALFORMED,
                collection.name,
                row,
                f"it cannot be read: {type(error).__name__} {error}",
                RESTORE,
            )
            continue
        sound.append(row)
        yield from _check_digests(collection.name, row, found)
        if row.get("_cls") == ModelMethod._class_name and not row.get("golden_probe"):
            words = "it has no golden probe: nothing tells whether it answers as it did"
            yield _finding(FindingKind.PROBE_MISSING, collection.name, row, words, RESTORE)
    yield from _check_edges(db, collection.name, sound, unfinished)


def _check_digests(name: str, row: dict[str, Any], found: str) -> Iterator[Finding]:
    if found != row["_id"]:
        words = "what it says is no longer what it is called"
        yield _finding(
            FindingKind.CONTENT_CHANGED, name, row, words, RESTORE, str(row["_id"]), found
        )
    stored = row.get(CHECKSUM)
    if not stored:
        words = "it was written without a checksum"
        yield _finding(FindingKind.UNSEALED, name, row, words, "Write records by `forcebase`.")
    elif (now := document_checksum(row)) != stored and found == row["_id"]:
        words = "something beside its content was edited after it was written"
        yield _finding(FindingKind.RECORD_CHANGED, name, row, words, TAINT, stored, now)


def _check_edges(
    db: Database, name: str, rows: Sequence[dict[str, Any]], unfinished: Collection[str]
) -> Iterator[Finding]:
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for _, place, record in references_of(name, row):
            wanted[place].add(record)
    known = {*db.record_collections, db.activities.name}
    missing = {
        place: db.collection(place).missing(ids) if place in known else ids
        for place, ids in wanted.items()
    }
    for row in rows:
        lacking = {
            (place, record): role
            for role, place, record in references_of(name, row)
            if record in missing[place]
        }
        if (row.get("provenance") or {}).get("activity") in unfinished:
            lacking = {}
        for (place, record), role in lacking.items():
            yield _broken(name, row, role, place, record)
        for reference, record in unsaid_edges(name, row):
            words = f"no edge says that its {reference.field} is {record[:10]}"
            kind = FindingKind.CONTRADICTION
            yield _finding(kind, name, row, words, TAINT, f"{reference.role} {record}")


def _broken(name: str, row: dict[str, Any], role: str, place: str, record: str) -> Finding:
    elsewhere = may_be_elsewhere(name, role)
    kind = FindingKind.PARENT_ELSEWHERE if elsewhere else FindingKind.BROKEN_EDGE
    words = f"its {role}, {record[:10]} of {place}, is not in this database"
    hint = ELSEWHERE if elsewhere else COMPUTE
    return _finding(kind, name, row, words, hint, f"{place} {record}")


def _finding(
    kind: FindingKind,
    name: str,
    row: dict[str, Any],
    message: str,
    hint: str,
    expected: str = "",
    found: str = "",
) -> Finding:
    return Finding(kind, name, str(row.get("_id")), message, hint, expected, found)
