"""Verification: is everything that is stored still what it was when it was written."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pymongo.errors import PyMongoError

from forcebase.blob import DATA_STORE
from forcebase.database.blobs import BUCKET
from forcebase.database.database import Database
from forcebase.database.job_store import OUTPUTS
from forcebase.database.schema import collection_schemas
from forcebase.database.written import packed
from forcebase.errors import DatabaseError
from forcebase.integrity.activity_checks import Acts
from forcebase.integrity.batches import RECORDS_AT_ONCE, batches
from forcebase.integrity.blob_checks import (
    check_blob,
    check_chunks,
    check_names,
    check_output_blob,
)
from forcebase.integrity.block_checks import check_block
from forcebase.integrity.dataset_checks import check_dataset, check_orphan_members
from forcebase.integrity.findings import ORPHANS, Finding, FindingKind, Verification, left_over
from forcebase.integrity.journal_checks import check_journal
from forcebase.integrity.model_checks import check_model
from forcebase.integrity.name_checks import check_names_and_tags, check_reach
from forcebase.integrity.output_checks import check_outputs
from forcebase.integrity.record_checks import check_records
from forcebase.integrity.relaxation_checks import check_relaxations
from forcebase.integrity.schema_checks import check_schema
from forcebase.integrity.seal_checks import check_seals
from forcebase.progress import Progress
from forcebase.records import JournalEntry, LabelBlock, Name, Quarantine, Taint
from forcebase.records.kinds import kind_of

REPAIR_FIRST = (
    "Repair or restore what else is named here as malformed or changed, and verify again."
)
LARGE_AT_ONCE = 100
"""Records that may be megabytes each: models and phonons."""


def verify(db: Database, *, models: bool = True, progress: Progress | None = None) -> Verification:
    """Check everything: digests, checksums, edges, blobs, datasets, names, models, schemas.

    Reads only. Memory stays bounded: a thousand records at a time, the ids of one collection's
    records and the digests of all blobs (64 bytes each), an activity's own words (some hundred
    bytes each) and, one dataset after another, the leaves of its members (120 bytes each).
    What others write meanwhile counts as left over until their activity ends, not as an orphan.

    Args:
        db: the database.
        models: load every model and ask it its golden probe.
        progress: told of each stage.
    """
    started = time.perf_counter()
    run = _Run(db, progress)
    for name in collection_schemas():
        run.take("collections", len(collection_schemas()), 1, check_schema(db, name))
    run.records()
    run.members()
    run.blobs()
    run.names()
    if models:
        found = list(db.methods.raw.find({"_cls": "Method.ModelMethod"}, {"_id": 1}))
        for model in found:
            run.take("models", len(found), 1, check_model(db, model["_id"]))
    run.report.seconds = time.perf_counter() - started
    return run.report


@dataclass
class _Run:
    """One verification on its way."""

    db: Database
    progress: Progress | None
    report: Verification = field(default_factory=Verification)
    acts: Acts = field(default_factory=Acts)

    def take(self, stage: str, total: int, n: int, findings: Iterable[Finding]) -> None:
        """Count what was looked at, and what was found."""
        found = list(_told(stage, findings))
        if any(finding.kind in ORPHANS for finding in found) and self.acts.go_on(self.db):
            found = list(left_over(found))
        self.report.add(found)
        done = self.report.checked[stage] = self.report.checked.get(stage, 0) + n
        if self.progress is not None and n:
            self.progress(stage, done, max(total, done), {})

    def records(self) -> None:
        """Activities, all records, and whether each activity's records are there."""
        total = self.db.activities.raw.estimated_document_count()
        for n, findings in _told_of_each("activities", self.acts.read(self.db)):
            self.take("activities", total, n, findings)
        for name, collection in self.db.record_collections.items():
            total = collection.raw.estimated_document_count()
            size = RECORDS_AT_ONCE if kind_of(name).about.many else LARGE_AT_ONCE
            ids: dict[str, list[bytes]] = defaultdict(list)
            for rows in batches(collection.raw.find(), size):
                found = check_records(self.db, collection, rows, self.acts.unfinished)
                self.take(name, total, len(rows), found)
                _note(rows, ids)
            self.take(name, total, 0, self.acts.check_written(name, ids))
        for _, findings in _told_of_each("structures", check_relaxations(self.db)):
            self.take("structures", 0, 0, findings)
        self.take("activities", 0, 0, self.acts.check_ends())

    def members(self) -> None:
        """Members of each dataset, and of none."""
        heads = list(self.db.datasets.raw.find({}, {"query": 0, "steps": 0}))
        for head in heads:
            self.take("members", len(heads), 1, check_dataset(self.db, head))
        self.take("members", len(heads), 0, check_orphan_members(self.db))

    def blobs(self) -> None:
        """Bytes of both buckets, then who names them."""
        for bucket in (BUCKET, DATA_STORE):
            files = self.db.raw[f"{bucket}.files"]
            total = files.estimated_document_count()
            for file in files.find():
                one = (
                    check_blob(self.db, file["_id"])
                    if bucket == BUCKET
                    else check_output_blob(self.db, file)
                )
                self.take("blobs" if bucket == BUCKET else "job outputs", total, 1, one)
            self.take("blobs", total, 0, check_chunks(self.db, bucket))
        self.take("blobs", 0, 0, check_names(self.db))
        total = self.db.raw[OUTPUTS].estimated_document_count()
        for n, findings in _told_of_each("job documents", check_outputs(self.db)):
            self.take("job documents", total, n, findings)

    def names(self) -> None:
        """Names, tags, taints, models that came from elsewhere, and copies of labels."""
        for shape in (Name, Taint, Quarantine):
            raw = self.db.raw[shape.collection_name()]
            for rows in batches(raw.find()):
                total = raw.estimated_document_count()
                self.take(raw.name, total, len(rows), check_seals(shape, rows))
                if shape is not Quarantine:
                    self.take(raw.name, total, 0, check_names_and_tags(self.db, raw.name, rows))
                if shape is Taint:
                    self.take(raw.name, total, 0, check_reach(self.db, rows))
        total = self.db.raw[JournalEntry.collection_name()].estimated_document_count()
        for n, findings in _told_of_each("journal", check_journal(self.db)):
            self.take("journal", total, n, findings)
        blocks = self.db.raw[LabelBlock._meta["collection"]]
        total = blocks.estimated_document_count()
        for block in blocks.find().batch_size(1):
            self.take("label blocks", total, 1, check_block(self.db, block))


def _told(stage: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings; and one that says so where a document is too broken for the check itself."""
    try:
        yield from findings
    except (PyMongoError, DatabaseError):  # of the server, not of a document
        raise
    except Exception as error:  # whatever a document edited by hand may raise
        yield _broken(stage, error)


def _told_of_each(
    stage: str, checked: Iterable[tuple[int, list[Finding]]]
) -> Iterator[tuple[int, list[Finding]]]:
    """The same of checks that count for themselves."""
    try:
        yield from checked
    except (PyMongoError, DatabaseError):
        raise
    except Exception as error:
        yield 0, [_broken(stage, error)]


def _broken(stage: str, error: Exception) -> Finding:
    words = f"a check of {stage} ended at a broken document: {type(error).__name__}: {error}"
    return Finding(FindingKind.MALFORMED, stage, "", " ".join(words.split())[:300], REPAIR_FIRST)


def _note(rows: Iterable[dict[str, Any]], ids: dict[str, list[bytes]]) -> None:
    """Remember which records name an activity."""
    for row in rows:
        provenance = row.get("provenance")
        activity = provenance.get("activity") if isinstance(provenance, dict) else None
        if activity:
            ids[str(activity)].append(packed(row["_id"]))
