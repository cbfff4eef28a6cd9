"""Databases, backups and archives of earlier versions: migrated by command, with their ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.archive.reading import read_archive
from forcebase.database import installation
from forcebase.database.connection import open_client
from forcebase.database.database import Database
from forcebase.database.installation import META
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.errors import DatabaseError, MixedMethodsError
from forcebase.ingest.importing import import_paths
from forcebase.integrity.migrating import migrate_database
from forcebase.integrity.restore import restore_backup
from forcebase.integrity.verify import verify
from forcebase.provenance import trace_up
from forcebase.provenance.taint import set_taint, stale_among
from forcebase.records.calculation import RENEWS

OLD = Path(__file__).parents[1] / "data" / "versions" / "6"


@pytest.fixture(autouse=True)
def _without_mace(monkeypatch):
    """Neutral forms of models are another migration's, tested with it: half a minute each."""
    monkeypatch.setitem(installation.MIGRATIONS, (6, 7), installation._nothing)


@pytest.fixture
def old(settings):
    """A database that version 6 wrote, as its backup gives it back."""
    restore_backup(settings, OLD / "backup.zip")
    return settings


@pytest.fixture
def raw(old):
    """The same, by pymongo: forcebase does not open it."""
    with open_client(old) as client:
        yield client[old.database]


@pytest.fixture
def migrated(old, tmp_path):
    migrate_database(old, tmp_path)
    db = Database(old)
    yield db
    db.close()


def ids(raw) -> dict[str, set[str]]:
    names = ("structures", "methods", "calculations", "datasets", "dataset_members")
    return {name: {row["_id"] for row in raw[name].find({}, {"_id": 1})} for name in names}


def test_opening_says_so_and_changes_nothing(old, raw):
    before = raw.command("dbHash")["md5"]
    with pytest.raises(DatabaseError, match="schema version 6; this forcebase writes") as failure:
        Database(old)
    assert "forcebase db migrate" in failure.value.hint
    assert raw.command("dbHash")["md5"] == before


def test_a_migration_begins_with_a_backup_and_keeps_all_ids(old, raw, tmp_path, new_settings):
    before = ids(raw)
    done = migrate_database(old, tmp_path)
    assert (done.before, done.after, done.unrecorded) == (6, SCHEMA_VERSION, 1)
    opened = Database(old)
    assert ids(opened.raw) == before
    assert verify(opened, models=False).is_sound
    opened.close()
    again = new_settings()
    restore_backup(again, Path(done.backup))
    with pytest.raises(DatabaseError, match="schema version 6"):
        Database(again)
    raw.client.drop_database(again.database)
    assert migrate_database(old, tmp_path).before is None
    assert len(list(tmp_path.iterdir())) == 1


def test_a_migration_that_was_killed_goes_on_with_its_backup(old, raw, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(_):
        raise Killed

    monkeypatch.setitem(installation.MIGRATIONS, (7, 8), kill)
    with pytest.raises(Killed):
        migrate_database(old, tmp_path)
    assert raw[META].find_one({"_id": "schema"})["version"] == 6
    with pytest.raises(DatabaseError, match="Nothing was changed"):
        Database(old)
    taken = []
    monkeypatch.setitem(installation.MIGRATIONS, (6, 7), lambda _: taken.append((6, 7)))
    monkeypatch.setitem(installation.MIGRATIONS, (7, 8), lambda _: taken.append((7, 8)))
    done = migrate_database(old, tmp_path)
    assert taken == [(7, 8)], "what was done is not done again"
    assert [str(path) for path in tmp_path.iterdir()] == [done.backup]
    assert [(row["_id"], row.get("version")) for row in raw[META].find()] == [
        ("schema", SCHEMA_VERSION)
    ]


def test_a_dataset_and_a_model_of_before_keep_their_lineage(migrated):
    dataset = migrated.datasets.one(name="small")
    model = migrated.require_model("quick")
    assert model.dataset == dataset.id
    method = migrated.methods.get(dataset.method)
    assert not method.is_recorded
    assert method.digest() == method.id
    assert method.title == "gpaw 26.7.0 PBE 350 eV"
    traced = str(trace_up(migrated, "methods", model.id).as_dict())
    assert dataset.id in traced
    assert method.id in traced


def test_the_same_files_again_supply_what_was_not_kept(migrated, data_folder):
    method = migrated.methods.one(code="gpaw")
    old = {c.id for c in migrated.calculations.find(method=method.id)}
    report = import_paths(migrated, [data_folder / "wse2_gpaw_unitcell.extxyz"])
    report = import_paths(migrated, [data_folder / "wse2_gpaw_pbe.extxyz"])
    assert report.failed == []
    renewing = migrated.calculations.raw.find({"provenance.edges.role": RENEWS})
    renewed = {
        e["record"] for row in renewing for e in row["provenance"]["edges"] if e["role"] == RENEWS
    }
    assert renewed == old
    new = next(m for m in migrated.methods.find(code="gpaw") if m.is_recorded)
    assert new.id != method.id
    assert migrated.calculations.one(method=new.id).charge == 0.0
    kept = migrated.calculations.get(sorted(old)[0])
    assert (kept.charge, kept.potentials) == (None, {})
    set_taint(migrated, "calculations", kept.id, "bad")
    again = migrated.calculations.raw.find_one({"provenance.edges.record": kept.id})
    assert again["_id"] in stale_among(migrated, "calculations", [again["_id"]])


def test_an_archive_of_before_comes_in_as_it_is(db):
    read_archive(db, OLD / "archive.zip")
    assert db.datasets.one(name="small") is not None
    assert not db.methods.one(code="gpaw").is_recorded
    assert verify(db, models=False).is_sound


def test_an_old_and_a_new_method_do_not_mix_unasked(migrated, data_folder):
    import_paths(migrated, [data_folder / "wse2_gpaw_3x3_displacements.extxyz"])
    with pytest.raises(MixedMethodsError, match=r"2 methods.*parameters: not recorded \(10 of"):
        build_dataset(migrated, "all", {"method_class": "dft"})
    assert migrated.datasets.count() == 1
