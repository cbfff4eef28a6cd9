"""Collections: does the server hold their schemas, and does everything stored have its shape."""

from __future__ import annotations

from collections.abc import Iterator

from forcebase.database.database import Database
from forcebase.database.schema import collection_schemas
from forcebase.integrity.findings import KEPT, Finding, FindingKind


def check_schema(db: Database, name: str) -> Iterator[Finding]:
    """The validator of one collection, and the documents that it would refuse."""
    schema = collection_schemas()[name]
    places = list(db.raw.list_collections(filter={"name": name}))
    validator = places[0].get("options", {}).get("validator") if places else None
    if validator != {"$jsonSchema": schema}:
        yield Finding(
            FindingKind.NO_VALIDATOR,
            name,
            "",
            "the server does not hold this version's schema for it",
            "Delete {_id: 'schema'} of collection meta: the next command installs it again.",
        )
    refused = db.raw[name].find({"$nor": [{"$jsonSchema": schema}]}, {"_id": 1}).limit(KEPT)
    for row in refused:
        yield Finding(
            FindingKind.MALFORMED,
            name,
            str(row["_id"]),
            "it is against the schema of its collection",
            "Restore it from a backup, or import or collect again what it came from.",
        )
