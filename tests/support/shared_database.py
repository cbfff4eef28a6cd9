"""One database for the tests of a session, emptied after each: to make a new one takes 0.5 s."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database as MongoDatabase

from forcebase.database.connection import open_client
from forcebase.database.installation import META, install
from forcebase.settings import Settings

Shape = dict[str, tuple[dict[str, Any], dict[str, Any]]]


class SharedDatabase:
    """A database that is as new whenever `empty` was called.

    What a test may change is looked at, not assumed: documents of every collection, collections
    that were not there (of the JobStore, of GridFS, of the queue), validators and indexes.

    Args:
        settings: of a database that is not there yet.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client = open_client(settings)
        self._raw = self._client[settings.database]
        self._install()

    def _install(self) -> None:
        self._client.drop_database(self._raw.name)
        install(self._raw)
        self._shape = shape_of(self._raw)
        self._meta = list(self._raw[META].find())

    def empty(self) -> None:
        """Bring the database back to how `install` left it."""
        self._client.admin.command("killAllSessions", [])  # a killed process leaves transactions
        found = shape_of(self._raw)
        if {name: found.get(name) for name in self._shape} != self._shape:
            self._install()
            return
        for name in found:
            if name in self._shape:
                self._raw[name].delete_many({})
            else:
                self._raw.drop_collection(name)
        self._raw[META].insert_many(self._meta)

    def close(self) -> None:
        """Drop it."""
        self._client.drop_database(self._raw.name)
        self._client.close()


def shape_of(raw: MongoDatabase) -> Shape:
    """Options (a validator) and indexes of each collection by its name."""
    return {
        found["name"]: (found["options"], raw[found["name"]].index_information())
        for found in raw.list_collections()
    }
