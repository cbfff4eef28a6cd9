"""A database and an archive of each schema version that is kept: brought here they are sound."""

from operator import setitem
from pathlib import Path

import pytest

from forcebase.archive import read_archive
from forcebase.database.database import Database
from forcebase.database.installation import META
from forcebase.database.schema import OLDEST_READABLE, SCHEMA_VERSION
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.migrating import migrate_database
from forcebase.integrity.restore import restore_backup
from forcebase.integrity.verify import verify

VERSIONS = Path(__file__).parents[1] / "data" / "versions"
KEPT = range(OLDEST_READABLE, SCHEMA_VERSION)
SOUND = {FindingKind.NOT_CHECKED}
"""A model of an archive that nobody trusted yet, where it has no neutral form."""


@pytest.mark.parametrize("version", KEPT)
def test_a_database_of_an_earlier_version(settings, damage, version, tmp_path):
    """Checksums of all, and counts that say when they were made: what was lost before is not."""
    restore_backup(settings, VERSIONS / str(version) / "backup.zip")
    migrate_database(settings, tmp_path)
    db = Database(settings)
    assert db.raw[META].find_one()["history"][-1]["version"] == SCHEMA_VERSION
    assert verify(db, models=False).findings == []
    for activity in db.activities.find():
        assert (activity.run.state, activity.run.counted) == ("finished", "at migration")
    members, labels = db.raw["dataset_members"], db.raw["labels"]
    spoil = lambda d: setitem(d, "reason", "?")  # noqa: E731
    with damage.changed(members, {}, spoil) as before:
        found = [(f.kind, f.record) for f in verify(db, models=False).findings]
        assert found == [(FindingKind.RECORD_CHANGED, before["_id"])]
    assert all("checksum" in row for row in labels.find())
    with damage.removed(db.raw["calculations"], {"method_class": "model"}):
        [found] = verify(db, models=False).findings
        assert found.kind is FindingKind.RECORDS_MISSING
        assert "had at the upgrade to schema version 8" in found.message
    db.close()


@pytest.mark.parametrize("version", KEPT)
def test_an_archive_of_an_earlier_version(db, version):
    archive = VERSIONS / str(version) / "archive.zip"
    assert sum(read_archive(db, archive).added.values())
    assert set(verify(db, models=False).counts) <= SOUND
    assert read_archive(db, archive).added == {}
    assert set(verify(db, models=False).counts) <= SOUND
