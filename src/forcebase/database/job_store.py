"""The JobStore of a database: jobflow's raw outputs, beside the records they become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forcebase.blob import DATA_STORE
from forcebase.records.base import document_checksum

if TYPE_CHECKING:
    from jobflow import JobStore

OUTPUTS = "outputs"
QUEUE = "jf_jobs"
"""jobflow-remote's jobs, beside their outputs."""


INDEXES = (("uuid", "index"), ("completed_at",))
"""Of `OUTPUTS`: a job's output is found by its name, and outputs are read in order of time."""


def output_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a job's document in the JobStore; its heavy parts have digests of their own."""
    return document_checksum(document, ("_id",))


def open_job_store(uri: str, database: str) -> JobStore:
    """Open the JobStore: documents in `outputs`, heavy things in the GridFS store `data`.

    Args:
        uri: MongoDB URI, credentials included.
        database: name of the MongoDB database.
    """
    from jobflow import JobStore  # with maggma takes longer than a command that lists records
    from maggma.stores import MongoStore
    from maggma.stores.gridfs import GridFSStore

    documents = MongoStore(database, OUTPUTS, uri=uri)
    data = GridFSStore(database, DATA_STORE, uri=uri)
    store = JobStore(documents, additional_stores={DATA_STORE: data})
    store.connect()
    return store
