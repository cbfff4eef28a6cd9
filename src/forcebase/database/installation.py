"""Bringing a MongoDB database into shape: collections, validators, indexes, schema version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import IndexModel
from pymongo.database import Database as MongoDatabase
from pymongo.errors import CollectionInvalid, OperationFailure

from forcebase.database.schema import DOCUMENTS, SCHEMA_VERSION, collection_schemas
from forcebase.errors import DatabaseError

META = "meta"
NAMESPACE_EXISTS = 48
Migration = Callable[[MongoDatabase], None]


def _nothing(database: MongoDatabase) -> None:
    """New optional fields only: `install` brings validators and indexes into step."""


MIGRATIONS: dict[tuple[int, int], Migration] = {
    (1, 2): _nothing,  # phonons: defect, findings
    (2, 3): _nothing,  # activities: failures
    (3, 4): _nothing,  # models of other packages: arguments, package, environment; parent
}


def install(database: MongoDatabase) -> None:
    """Create what is missing, and bring an older database to this version's schema.

    Raises:
        DatabaseError: the database was written by a newer forcebase.
    """
    found = database[META].find_one({"_id": "schema"})
    version = found["version"] if found else SCHEMA_VERSION
    if version > SCHEMA_VERSION:
        raise DatabaseError(
            f"Database {database.name} has schema version {version}; this forcebase knows "
            f"up to {SCHEMA_VERSION}.",
            hint="Upgrade forcebase.",
        )
    if found and version == SCHEMA_VERSION:
        return
    while version < SCHEMA_VERSION:
        MIGRATIONS[version, version + 1](database)
        version += 1
    _create_collections(database)
    _create_indexes(database)
    database[META].update_one({"_id": "schema"}, {"$set": {"version": version}}, upsert=True)


def _create_collections(database: MongoDatabase) -> None:
    for name, schema in collection_schemas().items():
        validator = {"$jsonSchema": schema}
        try:
            database.create_collection(name, validator=validator)
        except (CollectionInvalid, OperationFailure) as error:
            if isinstance(error, OperationFailure) and error.code != NAMESPACE_EXISTS:
                raise
            database.command("collMod", name, validator=validator)


def _create_indexes(database: MongoDatabase) -> None:
    for document in DOCUMENTS:
        indexes = [_index(spec) for spec in document._meta.get("indexes", [])]
        database[document._meta["collection"]].create_indexes(indexes)


def _index(spec: Any) -> IndexModel:
    options: dict[str, Any] = {}
    if isinstance(spec, dict):
        options = {key: value for key, value in spec.items() if key != "fields"}
        spec = spec["fields"]
    fields = [spec] if isinstance(spec, str) else list(spec)
    return IndexModel([(field, 1) for field in fields], **options)
