"""What the Tab key offers: collections, names of records, fields.

Nothing is started for it: where the database does not run, it offers nothing of what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer

from forcebase.errors import ForcebaseError

MOST = 200
"""Names that are offered at once."""


def names(*collections: str) -> Callable[[str], list[str]]:
    """A function that offers names, tags and datasets of these collections; of all with none."""

    def offer(incomplete: str) -> list[str]:
        return _beginning(incomplete, _names_of(collections))

    return offer


def collections(incomplete: str) -> list[str]:
    """Offer the collections that `ls` lists."""
    from forcebase.records.kinds import record_kinds

    found = [kind.name for kind in record_kinds() if kind.is_record]
    return _beginning(incomplete, [*found, "activities"])


def fields(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the fields of the collection that stands before it; behind a comma, the next one."""
    from forcebase.records.fields import fields_of
    from forcebase.records.kinds import kinds

    before, comma, begun = incomplete.rpartition(",")
    collection = context.params.get("collection") or "calculations"
    if collection not in {kind.name for kind in kinds()}:
        return []
    return [f"{before}{comma}{name}" for name in _beginning(begun, fields_of(collection))]


def _names_of(collections: tuple[str, ...]) -> list[str]:
    from pymongo.errors import PyMongoError

    from forcebase.database.database import Database
    from forcebase.database.server import EmbeddedServer
    from forcebase.settings import Settings

    settings = Settings.from_environment()
    try:
        if settings.mongodb_uri is None and not EmbeddedServer(settings.home).status().running:
            return []
        db: Any = Database(settings)
        try:
            found = [name for place in collections or (None,) for name in db.names.all(place)]
            if not collections or "datasets" in collections:
                heads = db.datasets.raw.find({}, {"name": 1, "version": 1}).limit(MOST)
                found += [f"{head['name']}@{head['version']}" for head in heads]
            return found
        finally:
            db.close()
    except (ForcebaseError, PyMongoError):
        return []


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)][:MOST]
