"""A damaged or hostile archive is refused, and nothing of it is written."""

import io
import json
import random
import stat
import struct
import warnings
import zipfile

import bson
import pytest

from forcebase.archive import read_archive, write_archive
from forcebase.archive.layout import MANIFEST, METADATA, file_digest, order, stream_of
from forcebase.digest import bytes_digest
from forcebase.errors import ForcebaseError, InputError, IntegrityError
from forcebase.records import Activity
from forcebase.records.base import document_checksum


@pytest.fixture(scope="module")
def small(shelf, tmp_path_factory):
    """The bytes of a small archive: one structure with its activity."""
    structure = shelf.structures.find(n_atoms=3, limit=1)[0]
    target = tmp_path_factory.mktemp("small") / "small.zip"
    path, _ = write_archive(shelf, [("structures", structure.id)], target)
    return path.read_bytes()


def is_empty(db):
    return not any(db.raw[name].find_one() for name in (*order(), "blobs.files", "blobs.chunks"))


def sealed(path):
    """Give a changed zip the comment that it would have had from the start."""
    data = path.read_bytes()[:-64]
    path.write_bytes(data + file_digest(io.BytesIO(data + b"0" * 64), len(data) + 64).encode())


def rewritten(small, path, change):
    """An archive whose files `change` edited, with digests that fit."""
    with zipfile.ZipFile(io.BytesIO(small)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop(MANIFEST))
    change(files)
    for member in manifest["members"]:
        data = files[member["name"]]
        member |= {"bytes": len(data), "sha256": bytes_digest(data)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(MANIFEST, json.dumps(manifest))
        archive.comment = b"0" * 64
    sealed(path)
    return path


def test_what_is_nested_without_end_is_refused(small, second, tmp_path):
    """Decoding it would end the process where symfc is imported, which raises Python's bound."""
    pytest.importorskip("symfc.eig_solvers.matrix")
    depth = 60_000
    sizes = [5 + 8 * n for n in range(depth, 0, -1)]
    nested = b"".join(struct.pack("<i", size) + b"\x03a\x00" for size in sizes)
    document = nested + b"\x05\0\0\0\0" + b"\0" * depth

    def change(files):
        files[stream_of("structures")] = document

    path = rewritten(small, tmp_path / "deep.zip", change)
    with pytest.raises(IntegrityError, match="recursion"):
        read_archive(second, path)
    assert is_empty(second)


def test_a_bit_turned_anywhere_is_noticed(small, second, tmp_path):
    path = tmp_path / "bad.zip"
    places = random.Random(5).sample(range(len(small)), 300)
    for place in [0, 30, len(small) - 1, len(small) - 70, *places]:
        path.write_bytes(small[:place] + bytes([small[place] ^ 1]) + small[place + 1 :])
        with pytest.raises((IntegrityError, InputError), match=r"bad\.zip"):
            read_archive(second, path)
    assert is_empty(second)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_archive_that_is_cut_off_is_refused(small, second, tmp_path, share):
    path = tmp_path / "cut.zip"
    path.write_bytes(small[: int(len(small) * share)])
    with pytest.raises(IntegrityError, match="is damaged"):
        read_archive(second, path)
    assert is_empty(second)


def test_what_is_damaged_is_named(judged, second, tmp_path):
    path = tmp_path / "bad.zip"
    data = bytearray(judged[0].read_bytes())
    with zipfile.ZipFile(judged[0]) as archive:
        name = next(name for name in archive.namelist() if name.startswith("blobs/"))
        info = archive.getinfo(name)
    data[info.header_offset + info.compress_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=name):
        read_archive(second, path)
    assert is_empty(second)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "records/../../evil", "C:\\evil", "blobs/evil", "records/"]
)
def test_names_that_lead_elsewhere_are_refused(small, second, tmp_path, name):
    path = tmp_path / "bad.zip"
    path.write_bytes(small)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"evil")
    with pytest.raises(InputError, match="is none that an archive has"):
        read_archive(second, path)
    assert is_empty(second)


def test_names_that_are_there_twice_are_refused(small, second, tmp_path):
    path = tmp_path / "bad.zip"
    path.write_bytes(small)
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(METADATA, b"{}")
    with pytest.raises(InputError, match="is there twice"):
        read_archive(second, path)


def test_links_are_refused(small, second, tmp_path):
    path = tmp_path / "bad.zip"
    path.write_bytes(small)
    link = zipfile.ZipInfo("blobs/" + "0" * 64)
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="is not a plain file"):
        read_archive(second, path)


def test_bombs_are_refused_before_they_are_unpacked(small, second, tmp_path):
    path = tmp_path / "bad.zip"
    path.write_bytes(small)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("blobs/" + "0" * 64, bytes(64 << 20))
    with pytest.raises(InputError, match=r"says that .* bytes are 67,108,864"):
        read_archive(second, path)


def test_a_record_that_is_not_what_it_is_called_is_refused(small, second, tmp_path):
    """Every digest of a file fits, for whoever edits can compute digests; the record's does not."""

    def move_an_atom(files):
        document = bson.decode(files[stream_of("structures")])
        data = bytearray(document["positions"]["data"])
        data[5] ^= 1
        document["positions"]["data"] = bytes(data)
        document["checksum"] = document_checksum(document)
        files[stream_of("structures")] = bson.encode(document)

    path = rewritten(small, tmp_path / "bad.zip", move_an_atom)
    with pytest.raises(IntegrityError, match="is not what it is called"):
        read_archive(second, path)
    assert is_empty(second)


def test_a_record_with_a_field_of_no_record_is_refused(small, second, tmp_path):
    def add_a_field(files):
        document = bson.decode(files[stream_of("structures")]) | {"evil": 1}
        files[stream_of("structures")] = bson.encode(document)

    path = rewritten(small, tmp_path / "bad.zip", add_a_field)
    with pytest.raises(IntegrityError, match=r"record 1 of records/structures\.bson"):
        read_archive(second, path)
    assert is_empty(second)


def test_an_archive_that_lacks_what_its_records_name_is_refused(small, second, tmp_path):
    def leave_out(files):
        activities = bson.decode(files[stream_of("activities")])
        activities["_id"] = "another"
        activities["checksum"] = Activity.checksum_of(activities)
        files[stream_of("activities")] = bson.encode(activities)

    path = rewritten(small, tmp_path / "bad.zip", leave_out)
    with pytest.raises(IntegrityError, match="is not in it"):
        read_archive(second, path)
    assert is_empty(second)


def test_an_archive_rewritten_with_the_same_content_is_read(small, second, tmp_path):
    """So that the refusals above are for what was changed."""
    read_archive(second, rewritten(small, tmp_path / "same.zip", lambda files: None))
    assert second.structures.count() == 1


@pytest.mark.parametrize(
    ("version", "words"),
    [(999, "Upgrade"), (1, "export again"), ("new", "cannot be read"), (None, "cannot be read")],
)
def test_archives_of_another_schema_or_none_are_refused(small, second, tmp_path, version, words):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(io.BytesIO(small)) as archive, zipfile.ZipFile(path, "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            if name == MANIFEST:
                data = json.dumps({**json.loads(data), "schema_version": version}).encode()
            other.writestr(name, data)
    with pytest.raises(ForcebaseError, match=words):
        read_archive(second, path)
