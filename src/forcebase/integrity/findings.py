"""What a verification finds: kinds, findings, and the report of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

KEPT = 1000
"""Findings that a report holds; all of them are counted."""


class FindingKind(Enum):
    """What can be wrong with what is stored."""

    CONTENT_CHANGED = "content changed"
    """the id is not the digest of what the record says"""
    RECORD_CHANGED = "record changed"
    """the checksum is not that of the stored record: something beside the content was edited"""
    UNSEALED = "no checksum"
    """nothing tells whether what stands beside the content was edited"""
    MALFORMED = "malformed"
    """against the collection's schema, or not to be read at all"""
    NO_VALIDATOR = "no validator"
    """the server no longer refuses malformed writes to a collection"""
    BROKEN_EDGE = "broken edge"
    """a record that this one refers to is not there"""
    CONTRADICTION = "contradiction"
    """two places say different things"""
    MEMBERS_CHANGED = "members changed"
    """a dataset's root or counts are not those of its members"""
    BLOB_MISSING = "blob missing"
    """a record names bytes that are not there"""
    BLOB_CHANGED = "blob changed"
    """bytes that are no longer those of their digest"""
    COPY_CHANGED = "copy changed"
    """a block of labels is not what the records say"""
    RECORDS_MISSING = "records missing"
    """an activity wrote records that are not there"""
    RECORDS_ADDED = "records added"
    """records name an activity that did not write them"""
    OUTPUT_CHANGED = "output changed"
    """a job's document in the JobStore is not the one that became records"""
    PROBE_MISSING = "probe missing"
    """a model has no golden probe"""
    UNFINISHED = "unfinished"
    """an import or another activity was cut off, or failed, and left records: no damage"""
    LEFT_OVER = "left over"
    """what no record names, while an activity is unfinished: no damage"""
    OUTPUT_GONE = "output gone"
    """a job's document is no longer in the JobStore; its records do not need it: no damage"""
    OUTPUT_NEWER = "output newer"
    """a job ran again after it was collected: no damage"""
    PROBE_FAILED = "probe failed"
    """a model no longer gives the answers stored with it, or cannot be loaded"""
    NOT_CHECKED = "not checked"
    """a model whose package is not installed here, or that nobody here has trusted: no damage"""
    NOT_REPRODUCED = "not reproduced"
    """a model did not give again what it gave before; the first stays: no damage"""
    RELAXED_TWICE = "relaxed twice"
    """two structures are the end of one relaxation of a model, within tolerance: no damage"""
    SAME_MODEL = "same model"
    """another model has the same numbers, precision and head: no damage"""
    ORPHAN_BLOB = "orphan blob"
    """bytes that no record names"""
    ORPHAN_CHUNKS = "orphan chunks"
    """pieces of a file that is not there"""
    ORPHAN_MEMBER = "orphan member"
    """a member of no dataset"""
    ORPHAN_LABEL = "orphan label"
    """a name, tag or taint of nothing"""
    WORD_MISSING = "word missing"
    """a name, tag, taint or quarantine was set, is not there, and no command took it away"""
    PARENT_ELSEWHERE = "parent elsewhere"
    """a structure was drawn from one that this database was never given: no damage"""

    @property
    def is_damage(self) -> bool:
        """Whether something is wrong, and not just worth knowing."""
        return self not in (
            FindingKind.PARENT_ELSEWHERE,
            FindingKind.NOT_CHECKED,
            FindingKind.RELAXED_TWICE,
            FindingKind.SAME_MODEL,
            FindingKind.NOT_REPRODUCED,
            FindingKind.UNFINISHED,
            FindingKind.LEFT_OVER,
            FindingKind.OUTPUT_GONE,
            FindingKind.OUTPUT_NEWER,
        )


@dataclass(frozen=True)
class Finding:
    """One thing that a verification found.

    Attributes:
        kind: what is wrong.
        collection: where.
        record: id of the record, blob or file.
        message: what it is, in words.
        hint: the next step.
        expected: what should stand there, where that can be said.
        found: what stands there.
    """

    kind: FindingKind
    collection: str
    record: str
    message: str
    hint: str
    expected: str = ""
    found: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {**asdict(self), "kind": self.kind.value, "damage": self.kind.is_damage}


ORPHANS = (FindingKind.ORPHAN_BLOB, FindingKind.ORPHAN_CHUNKS, FindingKind.ORPHAN_MEMBER)


def left_over(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings while an activity is unfinished: what no record names is of that."""
    for finding in findings:
        orphan = finding.kind in ORPHANS
        yield replace(finding, kind=FindingKind.LEFT_OVER) if orphan else finding


@dataclass
class Verification:
    """What was looked at and what was found.

    Attributes:
        checked: how many of each, by name.
        findings: the first `KEPT`.
        counts: findings of each kind, all of them.
        seconds: time it took.
    """

    checked: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[FindingKind] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, findings: Iterable[Finding]) -> None:
        """Count findings, and keep the first ones."""
        for finding in findings:
            self.counts[finding.kind] += 1
            if len(self.findings) < KEPT:
                self.findings.append(finding)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not any(kind.is_damage for kind in self.counts)

    @property
    def unfinished(self) -> int:
        """How many activities are to be repeated."""
        return self.counts[FindingKind.UNFINISHED]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {
            "sound": self.is_sound,
            "checked": dict(self.checked),
            "counts": {kind.value: n for kind, n in self.counts.items()},
            "findings": [finding.as_dict() for finding in self.findings],
            "seconds": self.seconds,
        }
