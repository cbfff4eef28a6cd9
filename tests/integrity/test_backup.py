"""A backup is whole, private and of one moment; what is restored is the same, or not there."""

import os
import stat
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from pathlib import Path

import pytest
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, WriteError

from forcebase import scratch
from forcebase.database import lease
from forcebase.database.database import Database
from forcebase.errors import DatabaseError, DiskFullError, InputError, IntegrityError
from forcebase.integrity import backup, restore
from forcebase.integrity.archive import open_archive, read_documents, read_manifest
from forcebase.integrity.backup import write_backup
from forcebase.integrity.restore import PREFIX, READY, restore_backup
from forcebase.integrity.verify import verify
from forcebase.records import DFTMethod
from forcebase.settings import Settings


@pytest.fixture(scope="module")
def written(filled, tmp_path_factory):
    """A backup of everything, and its manifest."""
    return write_backup(filled, tmp_path_factory.mktemp("backup") / "all.zip")


def small(db):
    """A database with little in it, for what is done often."""
    db.names.name("one", "methods", "0" * 64)
    db.blobs.put(b"bytes")


def contents(raw):
    return {
        name: list(raw[name].find().sort("_id", 1))
        for name in raw.list_collection_names()
        if not name.startswith("system.")
    }


def indexes(raw):
    return {name: raw[name].index_information() for name in raw.list_collection_names()}


def options(raw):
    return {place["name"]: place.get("options") for place in raw.list_collections()}


def test_a_restored_database_is_the_same_and_sound(filled, written, settings):
    path, manifest = written
    assert manifest.snapshot
    assert restore_backup(settings, path) == manifest
    db = Database(settings)
    assert contents(db.raw) == contents(filled.raw)
    assert indexes(db.raw) == indexes(filled.raw)
    assert options(db.raw) == options(filled.raw)
    report = verify(db)
    assert report.findings == []
    assert report.checked == verify(filled, models=False).checked | {"models": 1}
    with pytest.raises(WriteError, match="failed validation"):
        db.raw["labels"].insert_one({"_id": "x"})
    db.close()


def test_the_backup_of_a_restored_database_has_the_same_digest(written, settings, tmp_path):
    path, manifest = written
    restore_backup(settings, path)
    db = Database(settings)
    _, again = write_backup(db, tmp_path / "again.zip")
    db.close()
    assert again.digest() == manifest.digest()
    assert again.database != manifest.database


def test_only_its_owner_can_read_it(written):
    path, _ = written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_into_a_folder_it_is_named_by_database_and_time(db, tmp_path):
    folder = tmp_path / "new" / "backups"
    path, manifest = write_backup(db, folder)
    assert path.parent == folder
    assert write_backup(db, tmp_path)[0].parent == tmp_path
    assert path.name.startswith(f"{db.raw.name}-20")
    assert path.name.endswith(".forcebase.zip")
    assert manifest.documents == 1  # the schema's version


def test_it_is_of_one_moment_whatever_is_written_meanwhile(db, tmp_path):
    """A writer adds to two collections in turn; the backup never has them out of step."""
    first, last = db.raw["a_first"], db.raw["z_last"]
    first.insert_one({"_id": -1})
    last.insert_one({"_id": -1})
    stopped = threading.Event()

    def write():
        number = 0
        while not stopped.is_set():
            first.insert_one({"_id": number, "text": "x" * 1000})
            last.insert_one({"_id": number})
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        manifests = [write_backup(db, tmp_path / f"{i}.zip")[1] for i in range(5)]
    finally:
        stopped.set()
        writer.join()
    for manifest in manifests:
        counts = {c.name: c.documents for c in manifest.collections}
        assert 0 <= counts["a_first"] - counts["z_last"] <= 1
    assert manifests[0].documents < manifests[-1].documents


def test_a_full_database_is_left_alone(filled, written, settings):
    path, _ = written
    db = Database(settings)
    db.names.name("mine", "methods", "0" * 64)
    with pytest.raises(InputError, match=r"is not empty: it has journal, labels\."):
        restore_backup(settings, path)
    assert [label["text"] for label in db.raw["labels"].find()] == ["mine"]
    assert not any(name.startswith(PREFIX) for name in db.raw.list_collection_names())
    db.close()


def spoiled(path, target, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_damaged_file_is_refused_before_anything_is_written(written, settings, tmp_path, share):
    path, _ = written
    bad = spoiled(path, tmp_path / "bad.zip", int(path.stat().st_size * share))
    db = Database(settings)
    with pytest.raises((IntegrityError, InputError)):
        restore_backup(settings, bad)
    assert db.raw["calculations"].count_documents({}) == 0
    assert not any(name.startswith(PREFIX) for name in db.raw.list_collection_names())
    db.close()


def test_a_file_that_was_exchanged_inside_is_refused(db, settings, tmp_path):
    """The zip is in order, a stream in it is another: only the manifest knows."""
    small(db)
    path, _ = write_backup(db, tmp_path / "good.zip")
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, b"" if name == "labels.bson" else data)
    other = Settings(home=settings.home, database=f"{settings.database}_b")
    with pytest.raises(
        IntegrityError, match=r"labels of .* is not what was backed up: 0 documents"
    ):
        restore_backup(other, bad)
    assert other.database not in db.client.list_database_names()


@pytest.mark.parametrize("drop", [False, True], ids=["kept", "dropped"])
def test_a_manifest_that_was_edited_is_refused(db, settings, tmp_path, drop):
    """Even where what is changed is of no collection, and where its checksum was taken out."""
    small(db)
    path, _ = write_backup(db, tmp_path / "good.zip")
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "manifest.json":
                data = data.replace(b'"snapshot": true', b'"snapshot": false')
                assert data != source.read(name)
            if name != "manifest.sha256" or not drop:
                target.writestr(name, data)
    other = Settings(home=settings.home, database=f"{settings.database}_b")
    with pytest.raises((IntegrityError, InputError), match="manifest"):
        restore_backup(other, bad)
    assert other.database not in db.client.list_database_names()


def test_what_is_no_backup_is_said(settings, tmp_path, db):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        restore_backup(settings, tmp_path / "nothing.zip")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(InputError, match="is not a backup, or is cut off"):
        restore_backup(settings, tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(InputError, match="manifest cannot be read"):
        restore_backup(settings, tmp_path / "other.zip")


@pytest.mark.parametrize("text", ["[]", "{", '{"format": {"$oid": "x"}}', "[" * 99_999, "\ud800"])
def test_a_manifest_that_is_none_is_said(settings, tmp_path, text):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)  # as symfc does, for which C's stack does not suffice
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("manifest.json", text.encode(errors="surrogatepass"))
    try:
        with pytest.raises(InputError, match="manifest cannot be read"):
            restore_backup(settings, tmp_path / "bad.zip")
    finally:
        sys.setrecursionlimit(before)


def test_a_manifest_whose_bytes_were_broken_is_said(db, settings, tmp_path):
    small(db)
    path, _ = write_backup(db, tmp_path / "some.zip")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("manifest.json")
    start = member.header_offset + 30 + len(member.filename)
    for place in range(start, start + 40):
        broken = data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]
        (tmp_path / "bad.zip").write_bytes(broken)
        with pytest.raises((InputError, IntegrityError)):
            restore_backup(settings, tmp_path / "bad.zip")


def test_a_backup_of_a_newer_forcebase_is_refused(db, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "stored_version", lambda _: 10_000)
    path, _ = write_backup(db, tmp_path / "new.zip")
    with pytest.raises(InputError, match="schema version 10000"):
        restore_backup(settings, path)


@pytest.mark.parametrize("moment", ["half of the streams", "before the names", "among the names"])
def test_a_restore_that_was_cut_off_is_begun_again_or_finished(
    db, settings, tmp_path, monkeypatch, moment
):
    small(db)
    path, manifest = write_backup(db, tmp_path / "some.zip")
    other = Settings(home=settings.home, database=f"{settings.database}_b")

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "half of the streams":
            patch.setattr(restore, "require_same", _after(5, restore.require_same, cut_off))
        elif moment == "before the names":
            patch.setattr(restore, "_finish", _after(1, restore._finish, cut_off))
        else:
            rename = Collection.rename
            patch.setattr(Collection, "rename", _after(4, rename, cut_off))
        with pytest.raises(KeyboardInterrupt):
            restore_backup(other, path)
    half = db.client[other.database].list_collection_names()
    assert any(name.startswith(PREFIX) for name in half)
    assert restore_backup(other, path) == manifest
    restored = db.client[other.database]
    assert contents(restored) == contents(db.raw)
    assert READY not in restored.list_collection_names()
    db.client.drop_database(other.database)


def _after(n, function, then):
    calls = []

    def counting(*arguments, **options):
        calls.append(1)
        return (function if len(calls) <= n else then)(*arguments, **options)

    return counting


def test_an_existing_file_is_not_written_over(db, tmp_path):
    path = tmp_path / "mine.zip"
    path.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        write_backup(db, path)
    assert path.read_text() == "mine"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_leaves_no_file(db, tmp_path, monkeypatch):
    def full(path):
        path.touch()
        return Path("/dev/full").open("r+b", buffering=0)

    monkeypatch.setattr(scratch, "_private", full)
    with pytest.raises(DiskFullError, match=r"The disk of .* is full .* cannot be written"):
        write_backup(db, tmp_path / "big.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_said(db, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="cannot be written"):
        write_backup(db, tmp_path / "file" / "all.zip")


def test_a_snapshot_that_the_server_gave_up_is_said(db, tmp_path, monkeypatch):
    def too_old(*_):
        raise OperationFailure("snapshot too old", 239)

    monkeypatch.setattr(backup, "read_raw", too_old)
    with pytest.raises(DatabaseError, match="does not keep its past long enough"):
        write_backup(db, tmp_path / "late.zip")
    assert list(tmp_path.iterdir()) == []


def test_any_tool_can_read_it(filled, written):
    """Streams of BSON, as mongodump writes them."""
    import bson

    path, _ = written
    with open_archive(path) as archive:
        assert read_manifest(archive).database == filled.raw.name
        stream = archive.read("calculations.bson")
        first = next(read_documents(archive, "calculations"))
    documents = bson.decode_all(stream)
    assert len(documents) == filled.calculations.count()
    assert bson.decode(first) == documents[0]


def test_large_and_odd_documents_survive(db, settings, tmp_path):
    """Near the 16 MB of a document, and all kinds of BSON that records are made of."""
    db.raw["odd"].insert_one({"_id": uuid.uuid4().hex, "data": os.urandom(15_000_000)})
    db.raw["odd"].insert_one({"_id": {"a": 1}, "none": None, "nan": float("nan"), "big": 2**40})
    path, _ = write_backup(db, tmp_path / "odd.zip")
    other = Settings(home=settings.home, database=f"{settings.database}_b")
    restore_backup(other, path)
    restored = db.client[other.database]["odd"]
    assert [len(str(d)) for d in restored.find()] == [len(str(d)) for d in db.raw["odd"].find()]
    db.client.drop_database(other.database)


def test_a_method_can_be_added_after_a_restore(written, settings):
    """The restored database is one to work in, not a picture of one."""
    path, _ = written
    restore_backup(settings, path)
    db = Database(settings)
    method = db.methods.one({"_cls": "Method.DFTMethod"})
    values = {name: getattr(method, name) for name in DFTMethod.RULES}
    new = DFTMethod.of_rules(**{**values, "functional": "PBEsol"})
    assert db.methods.add([new]) == 1
    assert verify(db, models=False).is_sound
    db.close()


HOLD = """
import signal
from pathlib import Path
from pymongo import MongoClient
from forcebase.database.connection import server_uri
from forcebase.database.lease import held
from forcebase.integrity.restore import LOCK
from forcebase.settings import Settings
settings = Settings(home=Path({home!r}), database={database!r})
with MongoClient(server_uri(settings)) as client:
    with held(client[settings.database], LOCK, "restored"):
        print("held", flush=True)
        signal.pause()
"""


def test_two_restores_at_once(db, settings, tmp_path):
    """The second is refused and changes nothing; the lock of one that was killed is nobody's."""
    small(db)
    path, manifest = write_backup(db, tmp_path / "some.zip")
    other = Settings(home=settings.home, database=f"{settings.database}_two")
    code = HOLD.format(home=str(other.home), database=other.database)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    raw = db.client[other.database]
    before = contents(raw)
    with pytest.raises(DatabaseError, match=f"is being restored by process {process.pid}") as told:
        restore_backup(other, path)
    assert "nothing was changed" in str(told.value)
    assert contents(raw) == before
    process.kill()
    process.wait()
    assert restore_backup(other, path) == manifest
    assert contents(raw) == contents(db.raw)
    db.client.drop_database(other.database)


def test_a_holder_on_another_machine_loses_its_lock_in_time(db, monkeypatch):
    raw = db.raw["some_lock"]
    with monkeypatch.context() as patch:
        patch.setattr(lease, "SECONDS", 1)
        patch.setattr(lease, "_UNTIL", {"$add": ["$$NOW", 1000]})
        patch.setattr(lease.socket, "gethostname", lambda: "elsewhere")
        first = lease.Lease(db.raw, "some_lock")
        assert first.take() is None
        assert lease.Lease(db.raw, "some_lock").take()["host"] == "elsewhere"
        time.sleep(2.0)  # it is renewed
        assert lease.Lease(db.raw, "some_lock").take()["host"] == "elsewhere"
        first._ended.set()
        first._thread.join()
        time.sleep(1.5)
    with lease.held(db.raw, "some_lock", "restored"):
        assert raw.count_documents({}) == 1
    first.check()  # nobody told it yet
    assert "some_lock" not in db.raw.list_collection_names()


def test_who_slept_too_long_is_told(db, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    with lease.held(db.raw, "some_lock", "restored") as held:
        db.raw["some_lock"].update_one({}, {"$set": {"token": "another's"}})
        time.sleep(0.5)
        with pytest.raises(DatabaseError, match="Another process took over"):
            held.check()
    db.raw["some_lock"].drop()
