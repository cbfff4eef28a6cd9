"""Unpacking archives of foreign files into a folder: nothing leaves it, and not too much comes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from forcebase.errors import ForcebaseError, InputError
from forcebase.paths import disk_full, is_full
from forcebase.safety.limits import (
    ARCHIVE_BYTES,
    ARCHIVE_FILES,
    ARCHIVE_FREE_BYTES,
    ARCHIVE_RATIO,
    FILE_BYTES,
)
from forcebase.safety.tar_files import open_tar

RECORDS = "forcebase.json"
"""What a zip of `forcebase export` has in it, and no other: see `forcebase.archive`."""


def unpack(file: Path, folder: Path) -> None:
    """Unpack what is inside; names that lead out of the folder, and bombs, are refused.

    Raises:
        DiskFullError: there is no room for what is inside.
        InputError: it is not a sound archive, is beyond the limits, or holds records.
    """
    try:
        if file.suffix == ".zip":
            _unpack_zip(file, folder)
        else:
            _unpack_tar(file, folder)
    except ForcebaseError:
        raise
    except OSError as error:
        if is_full(error):
            raise disk_full(folder) from None
        raise InputError(f"the archive cannot be unpacked: {error}") from None
    except Exception as error:  # tarfile, zipfile and three compressions have their own each
        raise InputError(
            f"the archive cannot be unpacked: {error or type(error).__name__}"
        ) from None


class _Tally:
    """What an archive says that it holds, added up before any of it is unpacked."""

    def __init__(self, file: Path) -> None:
        self._name, self._packed = file.name, file.stat().st_size
        self._bytes = self._files = 0
        self._names: set[str] = set()

    def take(self, name: str, size: int, is_file: bool = True) -> None:
        """Count a member; raises InputError beyond a limit, and where its name was there before.

        Of two files of one name the second would take the place of the first.
        """
        if is_file and name in self._names:
            raise InputError(
                f"{self._name} has {name[:200]!r} twice.", hint="Unpack it, and import the folder."
            )
        self._names.add(name)
        FILE_BYTES.check(size, f"{self._name}/{name}")
        self._files += 1
        self._bytes += size
        ARCHIVE_FILES.check(self._files, self._name)
        ARCHIVE_BYTES.check(self._bytes, self._name)
        if self._bytes > ARCHIVE_FREE_BYTES:
            ARCHIVE_RATIO.check(self._bytes // max(self._packed, 1), self._name)


def _unpack_zip(file: Path, folder: Path) -> None:
    tally = _Tally(file)
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            tally.take(member.filename, member.file_size, not member.is_dir())
        if RECORDS in archive.namelist():
            raise InputError("it holds records.", hint="`forcebase import` it by itself.")
        archive.extractall(folder)  # zipfile stops at the size that a member says


def _unpack_tar(file: Path, folder: Path) -> None:
    """Member by member: a header says the size before its bytes are decompressed."""
    tally = _Tally(file)
    with open_tar(file) as archive:
        for member in archive:
            tally.take(member.name, member.size, member.isfile())
            archive.extract(member, folder, filter="data")
