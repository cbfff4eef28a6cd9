"""Files as bytes: compressed or not, below a folder or not, never more than the limits."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.safety.limits import ARCHIVE_FREE_BYTES, ARCHIVE_RATIO, FILE_BYTES, Limit

COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
PIECE = 1 << 20
SAME_DECIMALS = 20
"""Lines at the end of a text without a last line break whose last numbers are compared."""


def compression(path: Path) -> Callable[..., Any] | None:
    """The function that opens it, by its first bytes; None where it is not compressed."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((opener for magic, opener in COMPRESSED.items() if start.startswith(magic)), None)


def unpacked(path: Path, limit: Limit = FILE_BYTES) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces, decompressed.

    Raises:
        InputError: there are more than the limit, or far more than the file has; or it is cut off.
        OSError: it cannot be read.
    """
    packed = path.stat().st_size
    opener = compression(path)
    size = 0
    try:
        with path.open("rb") if opener is None else opener(path, "rb") as file:
            while piece := file.read(PIECE):
                size += len(piece)
                limit.check(size, path.name)
                if size > ARCHIVE_FREE_BYTES:
                    ARCHIVE_RATIO.check(size // max(packed, 1), path.name)
                yield piece
    except EOFError:
        raise InputError(
            f"{path.name} is compressed, and cut off.", hint="Copy it again."
        ) from None
    except (lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path.name} cannot be decompressed: {error}") from None


def unpacked_lines(path: Path, limit: Limit = FILE_BYTES) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, decompressed; raises as `unpacked`."""
    rest = b""
    for piece in unpacked(path, limit):
        *lines, rest = (rest + piece).splitlines(keepends=True)
        yield from lines
    if rest:
        yield rest


def read_unpacked(path: Path, limit: Limit = FILE_BYTES) -> bytes:
    """All bytes of a file, decompressed; raises as `unpacked`."""
    return b"".join(unpacked(path, limit))


def below(folder: Path, name: str, what: str, within: Path | None = None) -> Path:
    """The file of this name, which data gave, below a folder.

    Args:
        folder: from which the name leads.
        name: relative, with folders or without.
        what: it is, for the message.
        within: that it must be in, at any depth, links followed; `folder` by default.

    Raises:
        InputError: the name leads out of the folder.
    """
    path = folder / name
    try:
        inside = path.resolve().is_relative_to((within or folder).resolve())
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL
        inside = False
    if not inside:
        raise InputError(
            f"{what} {name!r} leads out of the folder that it may be in.",
            hint="Put it beside the file that names it.",
        )
    return path


def require_whole_text(path: Path) -> None:
    """Refuse a text that may be cut off inside its last number, which would be another number.

    It is whole where it ends with a line break. Without one, the last numbers of its last lines
    must all have as many decimals as the very last.

    Raises:
        InputError: it may be cut off.
    """
    tail = b""
    for piece in unpacked(path):
        tail = (tail + piece)[-65536:]
    if not tail or tail.endswith((b"\n", b"\r")):
        return
    lines = [line.split() for line in tail.splitlines()[-SAME_DECIMALS:]]
    decimals = [_decimals(line[-1]) for line in lines if line]
    if decimals[-1] is None or any(d not in (None, decimals[-1]) for d in decimals):
        raise InputError(
            f"{path.name} may be cut off: its last line has no end.",
            hint="Copy it again; put a line break at its end if it is whole.",
        )


def _decimals(word: bytes) -> int | None:
    found = re.fullmatch(rb"[-+]?\d*\.(\d+)(?:[EeDd][-+]?\d+)?", word)
    return len(found.group(1)) if found else None
