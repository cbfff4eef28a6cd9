"""Heavy data on the road: bytes and arrays that travel inside job documents.

A job names `Blob` in its `@job(data=[Blob])`, and jobflow keeps every one of them in
the additional store called `data` (GridFS), leaving a reference in the document.
"""

from __future__ import annotations

import base64
import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from forcebase.digest import bytes_digest
from forcebase.errors import IntegrityError

DATA_STORE = "data"


@dataclass(frozen=True)
class Blob(MSONable):
    """Bytes named by their SHA-256, compressed on the road; checked when unpacked."""

    data: bytes

    @property
    def sha256(self) -> str:
        """Digest of the uncompressed bytes."""
        return bytes_digest(self.data)

    @classmethod
    def from_arrays(cls, **arrays: NDArray[Any]) -> Blob:
        """Pack named arrays (npz, exact)."""
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return cls(buffer.getvalue())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Unpack what `from_arrays` packed."""
        with np.load(io.BytesIO(self.data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    def as_dict(self) -> dict[str, Any]:
        """Give the JSON form that jobflow stores."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "sha256": self.sha256,
            "zlib_base64": base64.b64encode(zlib.compress(self.data, 1)).decode(),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Blob:
        """Rebuild from `as_dict`; raises IntegrityError when the bytes changed on the way."""
        blob = cls(zlib.decompress(base64.b64decode(d["zlib_base64"])))
        if blob.sha256 != d["sha256"]:
            raise IntegrityError(
                "A blob changed on the way: its bytes do not match its digest.",
                hint="Run the job that made it again.",
                expected=d["sha256"],
                found=blob.sha256,
            )
        return blob
