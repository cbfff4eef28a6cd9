"""Files imported once a session: what they gave is put into other databases as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forcebase.database.database import Database
from forcebase.database.installation import META
from forcebase.ingest.importing import import_paths

BLOBS = {"blobs.files": {"filename": 1, "uploadDate": 1}, "blobs.chunks": {"files_id": 1, "n": 1}}
Rows = Mapping[str, list[dict[str, Any]]]


class ImportedFiles:
    """Puts what an import of the project's files gives into an empty database, without the import.

    Args:
        folder: of the files.
        scratch: an empty database, to import into.
    """

    def __init__(self, folder: Path, scratch: Database) -> None:
        self._folder = folder
        self._scratch = scratch
        self._kept: dict[tuple[str, ...], Rows] = {}

    def __call__(self, db: Database, *names: str) -> None:
        """Fill a database with the records, blobs and activities of these files; all without names.

        A database that holds something already gets them by an import, as a user would do it.
        """
        if any(db.raw[name].find_one() for name in rows_of_nothing(db)):
            import_paths(db, self._paths(names))
            return
        for name, rows in self._rows(names).items():
            if name in BLOBS:  # as GridFS makes them with its first file
                db.raw[name].create_index(list(BLOBS[name].items()), unique=name == "blobs.chunks")
            db.raw[name].insert_many(rows)

    def _paths(self, names: tuple[str, ...]) -> list[Path]:
        return [self._folder / name for name in names] or [self._folder]

    def _rows(self, names: tuple[str, ...]) -> Rows:
        if names not in self._kept:
            import_paths(self._scratch, self._paths(names))
            self._kept[names] = contents_of(self._scratch)
            for name in rows_of_nothing(self._scratch):
                self._scratch.raw[name].delete_many({})
        return self._kept[names]


def rows_of_nothing(db: Database) -> list[str]:
    """Names of the collections that an empty database has no rows in."""
    return [name for name in db.raw.list_collection_names() if name != META]


def contents_of(db: Database) -> Rows:
    """All documents by collection."""
    found = {name: list(db.raw[name].find()) for name in rows_of_nothing(db)}
    return {name: rows for name, rows in found.items() if rows}
