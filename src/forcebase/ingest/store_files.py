"""Opening a JobStore that a file names or holds: only known kinds, only to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bson import json_util
from jobflow import JobStore
from maggma.stores import JSONStore, MemoryStore, MongoStore, MongoURIStore
from maggma.stores.gridfs import GridFSStore, GridFSURIStore

from forcebase.errors import InputError
from forcebase.ingest.reasons import in_words
from forcebase.ingest.sources import is_documents
from forcebase.safety.json_text import read_json
from forcebase.safety.limits import bounded
from forcebase.safety.yaml_text import read_yaml

KINDS = {
    kind.__name__: kind
    for kind in (MongoStore, MongoURIStore, GridFSStore, GridFSURIStore, JSONStore)
}
"""Of maggma's stores those that are followed. Others write, or start tunnels."""

SPELLED = {"$oid", "$date", "$numberDouble", "$numberInt", "$numberLong", "$binary", "$uuid"}


def open_store(path: Path) -> tuple[JobStore, str]:
    """Open the store of a `jobflow.yaml`, or the documents of a JSONStore's file.

    A configuration says where to connect: only one that the user named may come here.

    Args:
        path: .json for documents, anything else for a configuration.

    Returns:
        The store, not connected, and a name for it that holds no password.

    Raises:
        InputError: it cannot be read, or names a store of another kind.
    """
    if is_documents(path):
        try:
            with bounded(path.name):
                return JobStore(_documents(path)), path.name
        except InputError:
            raise
        except Exception as error:  # whatever is spelled as a value of MongoDB's, and is none
            raise _no_store(path, f"{type(error).__name__}: {error}") from None
    content = read_yaml(path)
    spec = content.get("JOB_STORE", content) if isinstance(content, dict) else None
    if not isinstance(spec, dict) or not isinstance(spec.get("docs_store"), dict):
        raise _no_store(path, "it has no docs_store.")
    others = spec.get("additional_stores") or {}
    if not isinstance(others, dict):
        raise _no_store(path, "its additional_stores cannot be read.")
    try:
        store = JobStore(
            _store(spec["docs_store"], path),
            {str(name): _store(given, path) for name, given in others.items()},
        )
        return store, str(store.docs_store.name).rpartition("@")[2]
    except InputError:
        raise
    except Exception as error:  # whatever maggma and the drivers make of foreign settings
        raise _no_store(path, in_words(error)) from None


def _store(given: Any, path: Path) -> Any:
    if not isinstance(given, Mapping) or given.get("type") not in KINDS:
        kind = given.get("type") if isinstance(given, Mapping) else given
        raise InputError(
            f"{path.name} names a store of kind {str(kind)[:60]!r}, which is not followed.",
            hint=f"Followed are {', '.join(KINDS)}.",
        )
    settings = {str(key): value for key, value in given.items() if key != "type"}
    nested = [key for key, value in settings.items() if isinstance(value, dict) and "type" in value]
    if nested or settings.get("ssh_tunnel"):
        raise InputError(
            f"{path.name} has {nested[0] if nested else 'ssh_tunnel'} in a store, "
            "which is not followed.",
            hint="Open the tunnel yourself (`ssh -L`), and name its end as the host.",
        )
    if KINDS[given["type"]] is JSONStore:
        paths = settings.get("paths")
        named = paths if isinstance(paths, list) else [paths]
        return _documents(*(path.parent / str(name) for name in named))
    return KINDS[given["type"]](**settings)


def _documents(*paths: Path) -> MemoryStore:
    """The documents of a JSONStore's files in memory; maggma's own reader decodes some of them.

    Raises:
        InputError: a file holds no list of documents.
    """
    store = MemoryStore(paths[0].name)
    store.connect()
    for path in paths:
        try:
            found = read_json(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
        documents = found if isinstance(found, list) else [found]
        if not all(isinstance(document, dict) for document in documents):
            raise _no_store(path, "it holds no documents.")
        # the time of change, which may be one of monty's objects, is of no use here
        kept = [{k: v for k, v in d.items() if k not in ("last_updated", "_id")} for d in documents]
        store._collection.insert_many(_of_mongodb(kept))
    return store


def _of_mongodb(content: Any) -> Any:
    """What MongoDB's own JSON spells as `$oid`, `$date` or `$numberDouble`, as values."""
    if isinstance(content, list):
        return [_of_mongodb(item) for item in content]
    if not isinstance(content, dict):
        return content
    if set(content) & SPELLED and len(content) <= 2:
        return json_util.object_hook(content)
    return {key: _of_mongodb(item) for key, item in content.items()}


def _no_store(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path.name}: the JobStore cannot be opened: {reason[:300]}",
        hint="It must have docs_store, as jobflow's documentation of JOB_STORE says.",
    )
