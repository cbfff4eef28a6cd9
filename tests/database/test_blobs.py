"""Blobs: named by their bytes, kept once, and never given back changed."""

from multiprocessing.pool import ThreadPool

import pytest
from bson import Binary
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forcebase.database import blobs
from forcebase.digest import bytes_digest
from forcebase.errors import IntegrityError, NotFoundError

SEVERAL_CHUNKS = bytes(range(256)) * 3000


@given(data=st.binary(max_size=1000))
@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_come_back(db, data):
    name = db.blobs.put(data)
    assert name == bytes_digest(data)
    assert db.blobs.get(name) == data


def test_kept_twice_is_kept_once(db):
    names = {db.blobs.put(SEVERAL_CHUNKS) for _ in range(2)}
    assert len(names) == 1
    assert db.raw["blobs.files"].count_documents({}) == 1
    assert names.pop() in db.blobs


def test_twenty_megabytes_come_back(db):
    data = SEVERAL_CHUNKS * 27
    assert len(data) > 20_000_000
    assert db.blobs.get(db.blobs.put(data)) == data


def test_many_writers_of_one_blob_keep_it_whole(db):
    with ThreadPool(8) as pool:
        names = set(pool.map(lambda _: db.blobs.put(SEVERAL_CHUNKS), range(8)))
    assert db.blobs.get(names.pop()) == SEVERAL_CHUNKS
    assert db.raw["blobs.chunks"].count_documents({}) == -(-len(SEVERAL_CHUNKS) // (255 * 1024))


def test_a_blob_whose_writer_was_killed_is_written_again(db, monkeypatch):
    monkeypatch.setattr(blobs, "WRITER_SECONDS", 0.3)
    db.blobs.put(b"another")
    name = bytes_digest(SEVERAL_CHUNKS)
    left_behind = {"files_id": name, "n": 0, "data": Binary(SEVERAL_CHUNKS[:1000])}
    db.raw["blobs.chunks"].insert_one(left_behind)
    assert name not in db.blobs
    assert db.blobs.put(SEVERAL_CHUNKS) == name
    assert db.blobs.get(name) == SEVERAL_CHUNKS


def test_what_is_not_there_is_said(db):
    with pytest.raises(NotFoundError, match="Blob ffffffffff is not in the database"):
        db.blobs.get("f" * 64)


@pytest.mark.parametrize(
    "damage",
    [
        lambda chunks: chunks.update_one({"n": 1}, {"$set": {"data": Binary(b"x" * 261120)}}),
        lambda chunks: chunks.update_one({"n": 1}, {"$set": {"data": Binary(b"short")}}),
        lambda chunks: chunks.delete_one({"n": 1}),
        lambda chunks: chunks.delete_many({}),
    ],
    ids=["changed", "shortened", "a piece is gone", "all pieces are gone"],
)
def test_changed_bytes_are_noticed(db, damage):
    name = db.blobs.put(SEVERAL_CHUNKS)
    damage(db.raw["blobs.chunks"])
    with pytest.raises(IntegrityError, match="was changed in the database"):
        db.blobs.get(name)
