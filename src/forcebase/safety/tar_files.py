"""Tar files, and the only place that opens them: headers that say too much are refused.

`tarfile` reads a member's long name, or its further fields, into memory whatever their size, and
goes round in a circle where a size is negative.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from forcebase.errors import InputError

LARGEST_HEADER = 1 << 20
"""Bytes of a long name, or of a member's further fields."""
HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Member(tarfile.TarInfo):
    """A member whose header is checked against limits before what follows it is read."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in HEADERS and self.size > LARGEST_HEADER:
            raise InputError(
                f"the archive has a header of {self.size:,} bytes; the limit is {LARGEST_HEADER:,}."
            )
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]

    def _block(self, count: int) -> int:
        if count < 0:
            raise InputError(f"the archive has a member of {count:,} bytes.")
        return super()._block(count)  # type: ignore[misc,no-any-return]


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar file, compressed or not, to read it member by member.

    Raises:
        InputError: a header is too large, or says a size below zero; later members too.
        tarfile.TarError, OSError, EOFError, LZMAError, zlib.error: it is not a sound tar.
    """
    return tarfile.open(path, tarinfo=_Member)
