"""Messages between two processes: named arrays as npz, with their length before them; no pickle."""

from __future__ import annotations

import io
import json
import struct
from typing import Any, BinaryIO

import numpy as np

LENGTH = struct.Struct("<Q")
HEADER = "header"


def write_message(stream: BinaryIO, header: dict[str, Any], **arrays: np.ndarray) -> None:
    """Send a header, which JSON can hold, and arrays.

    Raises:
        BrokenPipeError: the other side is gone.
    """
    buffer = io.BytesIO()
    np.savez(buffer, **{HEADER: np.array(json.dumps(header)), **arrays})  # type: ignore[arg-type]
    data = buffer.getvalue()
    stream.write(LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Receive what `write_message` sent; None where the other side has ended."""
    size = _read(stream, LENGTH.size)
    if size is None:
        return None
    data = _read(stream, LENGTH.unpack(size)[0])
    if data is None:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop(HEADER))), arrays


def _read(stream: BinaryIO, n: int) -> bytes | None:
    parts = []
    while n:
        part = stream.read(n)
        if not part:
            return None
        parts.append(part)
        n -= len(part)
    return b"".join(parts)
