"""Whether a zip is an archive of ours, and harmless: before anything of it is unpacked.

Nothing is ever written to a path, and nothing is unpickled: members are read as streams, by names
that this module knows.
"""

from __future__ import annotations

import stat
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from forcebase.archive.layout import MANIFEST, METADATA, PREVIEW, is_member
from forcebase.errors import InputError, IntegrityError

RATIO = 200
"""Deflate makes records at most some tens of times smaller."""
SMALL = 1 << 20
"""Bytes of all members together that are never too many."""
LARGEST_TEXT = 256 << 20
"""Bytes of a member that is read at once."""
LARGEST_BLOB = 4 << 30
ENCRYPTED = 0x1


def open_safely(path: Path) -> ZipFile:
    """Open an archive whose members are harmless.

    Raises:
        InputError: there is no such file, or a member is not one of an archive's.
        IntegrityError: it is not a whole zip.
    """
    try:
        archive = ZipFile(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (BadZipFile, ValueError, NotImplementedError) as error:
        raise IntegrityError(
            f"{path} is damaged or cut off: {error}.", hint="Copy or export it again."
        ) from None
    try:
        _check_members(archive.infolist(), path)
    except InputError:
        archive.close()
        raise
    return archive


def _check_members(members: list[ZipInfo], path: Path) -> None:
    seen: set[str] = set()
    for member in members:
        if reason := _objection(member, seen):
            raise InputError(
                f"{path} is refused: its member {member.filename[:80]!r} {reason}.",
                hint="Give a file of `forcebase export`, as it was written.",
                member=member.filename,
            )
        seen.add(member.filename)
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    size = path.stat().st_size
    if packed > size or unpacked > max(SMALL, RATIO * size):
        raise InputError(
            f"{path} is refused: {size:,} bytes say that they are {unpacked:,}.",
            hint="Give a file of `forcebase export`, as it was written.",
        )


def _objection(member: ZipInfo, seen: set[str]) -> str:
    """What is wrong with a member; "" where nothing is."""
    mode = member.external_attr >> 16
    largest = LARGEST_BLOB if member.filename.startswith("blobs/") else None
    if member.filename in (MANIFEST, METADATA, PREVIEW):
        largest = LARGEST_TEXT
    if member.orig_filename != member.filename or not is_member(member.filename):
        return "is none that an archive has"
    if member.filename in seen:
        return "is there twice"
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "is not a plain file"
    if member.flag_bits & ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "is compressed in another way than an archive's"
    if largest is not None and member.file_size > largest:
        return f"has {member.file_size:,} bytes"
    if member.file_size > max(SMALL, RATIO * member.compress_size):
        return f"says that {member.compress_size:,} bytes are {member.file_size:,}"
    return ""
