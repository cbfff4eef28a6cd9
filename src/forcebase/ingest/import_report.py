"""The answer of an import."""

from __future__ import annotations

from dataclasses import dataclass, field

from forcebase.ingest.collect import CollectReport


@dataclass
class ImportReport(CollectReport):
    """What an import did; `failed` holds (path, reason), `unchanged` files known already.

    `activities` are the ids of the imports of all files, of now or earlier; `left` counts files of
    other kinds that lay beside them, as inputs, scripts and what tools write; `kept` counts files
    that are new as blobs.
    """

    files: int = 0
    left: int = 0
    kept: int = 0
    unchanged: list[str] = field(default_factory=list)
    activities: list[str] = field(default_factory=list)
