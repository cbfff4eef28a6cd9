"""Blocks of labels: is each copy what the records say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forcebase.database.database import Database
from forcebase.database.label_blocks import fault_of
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.records import LabelBlock

PLACE = LabelBlock._meta["collection"]


def check_block(db: Database, block: dict[str, Any]) -> Iterator[Finding]:
    """Compare a block with the records; one that is out of step is not used, and let pass."""
    if fault := fault_of(db, block):
        hint = "Delete it from label_blocks: the next comparison makes it again from the records."
        yield Finding(FindingKind.COPY_CHANGED, PLACE, str(block["_id"]), fault, hint)
