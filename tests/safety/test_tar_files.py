"""Tar files whose headers would fill the memory or go round in a circle are refused at once."""

import gzip
import io
import tarfile

import pytest

from forcebase.errors import InputError
from forcebase.ingest.unpacking import unpack

END = b"\0" * 1024


def header(kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def with_size(size: bytes) -> bytes:
    """A plain member whose size is spelled so; its checksum is right."""
    block = bytearray(header(tarfile.REGTYPE, 0))
    block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory(tmp_path, kind):
    with gzip.open(tmp_path / "runs.tar.gz", "wb", 1) as file:
        file.write(header(kind, 64 << 20))
        for _ in range(64):
            file.write(b"1" * (1 << 20))
        file.write(END)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"header of 67,108,864 bytes"):
        unpack(tmp_path / "runs.tar.gz", tmp_path / "out")


def pax(size: str) -> bytes:
    member = tarfile.TarInfo("x")
    member.pax_headers = {"size": size}
    return member.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("data", [with_size(b"\xff" * 10 + b"\xf0\x00"), pax("-4096")])
def test_a_size_below_zero(tmp_path, data):
    (tmp_path / "runs.tar").write_bytes(data + END)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"member of -4,096 bytes"):
        unpack(tmp_path / "runs.tar", tmp_path / "out")


def test_two_files_of_one_name(tmp_path):
    with tarfile.open(tmp_path / "runs.tar", "w") as archive:
        for text in (b"first", b"second"):
            member = tarfile.TarInfo("a.extxyz")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"'a.extxyz' twice"):
        unpack(tmp_path / "runs.tar", tmp_path / "out")


def test_a_long_name_is_no_large_header(tmp_path):
    name = "/".join(["a folder of many letters"] * 20) + "/file"
    with tarfile.open(tmp_path / "runs.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "runs.tar", tmp_path / "out")
    assert (tmp_path / "out" / name).is_file()
