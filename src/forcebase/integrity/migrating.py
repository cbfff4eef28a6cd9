"""Migrating a database: a backup first, then one step after another, each done once.

Records of schemas up to 8 keep their ids, so that datasets, models and validations keep their
lineage. What they did not keep of their method and of what it gave is not recorded; importing the
same files again makes records that have it, and that name the ones that they renew.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forcebase.database.connection import open_client
from forcebase.database.installation import (
    META,
    MIGRATION,
    migrate,
    require_migration_right,
    stored_version,
)
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.integrity.backup import write_backup
from forcebase.settings import Settings

BACKUPS = "backups"


@dataclass(frozen=True)
class Migrated:
    """What a migration did.

    Attributes:
        before: schema version that the database had; None where nothing was to be done.
        after: the one that it has.
        backup: the file that holds what was there before; "" where nothing was done.
        unrecorded: DFT methods of which not all rules are recorded.
    """

    before: int | None
    after: int
    backup: str
    unrecorded: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class _Unopened:
    """A database that waits for its migration."""

    client: Any
    raw: Any


def migrate_database(settings: Settings, backup: Path | None = None) -> Migrated:
    """Back the database up and bring it to this version's schema.

    A migration that was killed is taken up where it stopped, and its first backup stays the one.

    Args:
        settings: where the database is.
        backup: a folder or a new file; `backups` in the home folder by default.

    Raises:
        DatabaseError: the database is of a newer forcebase, or the backup failed.
        AccessError: the user may not migrate.
        InputError: the backup cannot be written.
    """
    with open_client(settings) as client:
        raw = client[settings.database]
        before = stored_version(raw)
        if before is None or before == SCHEMA_VERSION:
            return Migrated(None, SCHEMA_VERSION, "", 0)
        require_migration_right(raw)
        going = raw[META].find_one({"_id": MIGRATION}) or {}
        path = str(going.get("backup", ""))
        if not path:
            place = backup or settings.home / BACKUPS
            place.mkdir(parents=True, exist_ok=True) if not place.suffix else None
            path = str(write_backup(_Unopened(client, raw), place)[0])
            raw[META].update_one({"_id": MIGRATION}, {"$set": {"backup": path}}, upsert=True)
        migrate(raw)
        old = {"code": {"$exists": True}, "identity": None}
        return Migrated(before, SCHEMA_VERSION, path, raw["methods"].count_documents(old))
