"""The JobStore of a database: jobflow's raw outputs, beside the records they become."""

from __future__ import annotations

from jobflow import JobStore
from maggma.stores import MongoStore
from maggma.stores.gridfs import GridFSStore

from forcebase.blob import DATA_STORE

OUTPUTS = "outputs"
QUEUE = "jf_jobs"
"""jobflow-remote's jobs, beside their outputs."""


def open_job_store(uri: str, database: str) -> JobStore:
    """Open the JobStore: documents in `outputs`, heavy things in the GridFS store `data`.

    Args:
        uri: MongoDB URI, credentials included.
        database: name of the MongoDB database.
    """
    documents = MongoStore(database, OUTPUTS, uri=uri)
    data = GridFSStore(database, DATA_STORE, uri=uri)
    store = JobStore(documents, additional_stores={DATA_STORE: data})
    store.connect()
    return store
