"""Verification: is everything that is stored still what it was when it was written."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from forcebase.blob import DATA_STORE
from forcebase.database.blobs import BUCKET
from forcebase.database.database import Database
from forcebase.database.schema import collection_schemas
from forcebase.integrity.batches import AT_ONCE, batches
from forcebase.integrity.blob_checks import (
    check_blob,
    check_chunks,
    check_names,
    check_output_blob,
)
from forcebase.integrity.dataset_checks import check_dataset, check_orphan_members
from forcebase.integrity.findings import Finding, Verification
from forcebase.integrity.label_checks import check_labels
from forcebase.integrity.model_checks import check_model
from forcebase.integrity.record_checks import check_records
from forcebase.integrity.schema_checks import check_schema
from forcebase.progress import Progress

LARGE_AT_ONCE = 100
"""Records that may be megabytes each: models and phonons."""


def verify(db: Database, *, models: bool = True, progress: Progress | None = None) -> Verification:
    """Check everything: digests, checksums, edges, blobs, datasets, labels, models, schemas.

    Reads only. Memory stays bounded: a thousand records at a time, the digests of all blobs
    (64 bytes each) and, one dataset after another, the leaves of its members (120 bytes each).
    What is written meanwhile may show as an orphan: verify again.

    Args:
        db: the database.
        models: load every model and ask it its golden probe.
        progress: told of each stage.
    """
    started = time.perf_counter()
    run = _Run(db, progress)
    for name in collection_schemas():
        run.take("collections", len(collection_schemas()), 1, check_schema(db, name))
    for name, collection in db.record_collections.items():
        total = collection.raw.estimated_document_count()
        size = AT_ONCE if name in ("structures", "calculations") else LARGE_AT_ONCE
        for rows in batches(collection.raw.find(), size):
            run.take(name, total, len(rows), check_records(db, collection, rows))
    run.members()
    run.blobs()
    run.labels()
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

    def take(self, stage: str, total: int, n: int, findings: Iterable[Finding]) -> None:
        """Count what was looked at, and what was found."""
        self.report.add(findings)
        done = self.report.checked[stage] = self.report.checked.get(stage, 0) + n
        if self.progress is not None and n:
            self.progress(stage, done, max(total, done), {})

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

    def labels(self) -> None:
        """Names, tags and taints."""
        for place in ("labels", "taints"):
            raw = self.db.raw[place]
            for rows in batches(raw.find({}, {"reached": 0, "clear": 0})):
                total = raw.estimated_document_count()
                self.take(place, total, len(rows), check_labels(self.db, place, rows))
