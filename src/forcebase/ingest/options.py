"""What a user may say about an import beyond its paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forcebase.bounds import Bounds, check_bounds
from forcebase.ingest.codes.code_output import Steps as Steps

EDITION = 2
"""Of what is read from a file: 2 keeps all rules of methods and what they gave. A file that an
earlier one read is read again."""
RANGES = {"k_spacing": Bounds(0, 10, above=True), "workers": Bounds(1, 1024, whole=True)}


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import; all that changes records is part of what names the import.

    Attributes:
        steps: which ionic steps of a code's run become records.
        k_spacing: 1/angstrom, where all meshes were chosen by it.
        keys: names of `energy`, `forces`, `stress` in labelled structures, before method.yaml.
        description: a method.yaml for files that have none beside them.
        model: a model's name or id, for documents of jobs that do not say which one they used.
        workers: processes that parse; None lets the number of files decide.
        keep_raw: keep the files themselves too.
        may_write: make the indexes in other people's JobStores that reading them needs.
    """

    steps: Steps = Steps.LAST
    k_spacing: float | None = None
    keys: dict[str, str] = field(default_factory=dict)
    description: Path | None = None
    model: str = ""
    workers: int | None = None
    keep_raw: bool = False
    may_write: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, RANGES)

    def asked(self) -> dict[str, Any]:
        """What differs from the default and changes records."""
        found: dict[str, Any] = {}
        if self.steps is not Steps.LAST:
            found["steps"] = str(self.steps)
        if self.k_spacing is not None:
            found["k_spacing_per_A"] = self.k_spacing
        if self.keys:
            found["keys"] = self.keys
        if self.model:
            found["model"] = self.model
        return found
