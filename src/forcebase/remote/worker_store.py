"""The file in which a worker leaves a job's output, for the runner to bring to MongoDB."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import bson
import orjson
from jobflow_remote.remote.data import MinimalORJSONStore, default_orjson_serializer

from forcebase.errors import CalculationError

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""bytes; MongoDB's own limit."""


class WorkerStore(MinimalORJSONStore):
    """A JSON file that says at once what cannot be kept: a job fails where it runs.

    Without it, the runner finds out later, tries three times, and has no word on why: on what is
    large in a document that MongoDB would not take, or on a full disk.

    Args:
        path: of the file.
    """

    def update(self, docs: list[dict] | dict, key: list | str | None = None) -> None:
        """Add documents, and write the file.

        Raises:
            CalculationError: a document is over 16 MB (heavy things of the additional store may
                be), or the disk is full.
        """
        if Path(self.path).stem == "remote_job_data":
            for document in docs if isinstance(docs, list | tuple) else [docs]:
                check_size(document)
        super().update(docs, key)
        self.update_file()

    def update_file(self) -> None:
        """Write all or nothing; raises CalculationError where the disk is full."""
        part = Path(f"{self.path}.part")
        content = orjson.dumps(self.data, default=default_orjson_serializer)
        try:
            part.write_bytes(content)
            part.replace(self.path)
        except OSError as error:
            part.unlink(missing_ok=True)  # room for what the job has to say
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = shutil.disk_usage(part.parent).free
            raise CalculationError(
                f"The disk of {part.parent} is full: {len(content) / 1e6:.1f} MB of output do not "
                f"fit into {free / 1e6:.1f} MB.",
                hint="Make room, then: forcebase jobs rerun --failed",
                free_bytes=free,
            ) from None

    def close(self) -> None:
        """Nothing is left to write."""


def check_size(document: dict[str, Any]) -> None:
    """Raise CalculationError where a job's output is over 16 MB, and say what is large in it."""
    size = len(bson.encode(document))
    if size <= LARGEST_DOCUMENT:
        return
    output = document.get("output")
    parts = output if isinstance(output, dict) else {"output": output}
    name, part = max(
        ((name, len(bson.encode({"part": part}))) for name, part in parts.items()),
        key=lambda item: item[1],
    )
    raise CalculationError(
        f"The output of job {document.get('name')!r} has {size / 1e6:.0f} MB, and a document of "
        f"MongoDB at most 16.8 MB; {part / 1e6:.0f} MB of it are {name!r}.",
        hint="Return it as a forcebase.blob.Blob from a job made with @job(data=[Blob]).",
        size=size,
        largest=name,
    )
