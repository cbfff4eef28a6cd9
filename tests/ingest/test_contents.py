"""Which records files hold, told without writing them."""

import pytest

from forcebase.errors import InputError
from forcebase.ingest.contents import contents
from forcebase.ingest.importing import import_paths


def test_contents_are_what_an_import_writes(db, data_folder):
    found = contents([data_folder])
    assert db.calculations.count() == db.phonons.count() == 0
    import_paths(db, [data_folder])
    assert found.calculations == tuple(sorted(row["_id"] for row in db.calculations.raw.find()))
    assert found.phonons == tuple(sorted(row["_id"] for row in db.phonons.raw.find()))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.extxyz").write_text('1\nProperties=species:S:1:pos:R:3\nW 0 0 "')
    with pytest.raises(InputError, match=r"bad\.extxyz"):
        contents([tmp_path])
