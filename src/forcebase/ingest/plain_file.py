"""A compressed file as a plain one, for readers that take paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forcebase.safety.files import compression, unpacked
from forcebase.scratch import scratch_folder


@contextmanager
def plain_file(path: Path, beside: bool = False) -> Iterator[Path]:
    """The file itself, or decompressed within the limits, in a folder that goes at the end.

    Args:
        path: of the file.
        beside: make links there to what lies beside the file.

    Raises:
        InputError: it is more than the limits allow, or broken.
        OSError: it cannot be read.
    """
    if compression(path) is None:
        yield path
        return
    with scratch_folder("forcebase-import", sweep=False) as scratch:
        plain = scratch / path.stem
        for other in path.parent.iterdir() if beside else ():
            if other.is_file() and other.name != plain.name:
                (plain.parent / other.name).symlink_to(other.absolute())
        with plain.open("wb") as file:
            file.writelines(unpacked(path))
        yield plain
