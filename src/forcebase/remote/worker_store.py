"""The file in which a worker leaves a job's output, for the runner to bring to MongoDB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bson
from jobflow_remote.remote.data import MinimalORJSONStore

from forcebase.errors import CalculationError

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""bytes; MongoDB's own limit."""


class WorkerStore(MinimalORJSONStore):
    """A JSON file that takes no document that MongoDB would not: a job fails where it runs.

    Without it, the runner finds out later, tries three times, and has no word on what is large.

    Args:
        path: of the file.
    """

    def update(self, docs: list[dict] | dict, key: list | str | None = None) -> None:
        """Add documents.

        Raises:
            CalculationError: one is over 16 MB; heavy things of the additional store may be.
        """
        if Path(self.path).stem == "remote_job_data":
            for document in docs if isinstance(docs, list | tuple) else [docs]:
                check_size(document)
        super().update(docs, key)


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
