"""Two DFT methods that somebody takes for one, and why."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from mongoengine import ListField, StringField

from forcebase.records.base import DIGEST_PATTERN, Record
from forcebase.records.description import Description, columns


class Equivalence(Record):
    """The statement that two methods are the same for a purpose; tainting it withdraws it.

    Datasets and comparisons that rest on it name it in their provenance.
    """

    meta: ClassVar[dict[str, Any]] = {
        "collection": "equivalences",
        "indexes": ["methods", "provenance.edges.record"],
    }
    DESCRIPTION = Description(columns=columns("id", "title", "reason"), colour="#f3dcc4")

    methods = ListField(
        StringField(regex=DIGEST_PATTERN), required=True, help_text="ids of the two, sorted"
    )
    reason = StringField(required=True, min_length=1, help_text="for people")

    @classmethod
    def of(cls, one: str, other: str, reason: str) -> Self:
        """Make a sealed record of two methods, in either order."""
        record = cls(methods=sorted((one, other)), reason=reason.strip())
        for method in record.methods:
            record.made_from("method", "methods", method)
        return record.sealed()

    def content(self) -> dict[str, Any]:
        """The two methods and the reason."""
        return {"equivalence": {"methods": list(self.methods), "reason": self.reason}}

    @property
    def title(self) -> str:
        """As "1a2b3c4d5e = 5e4d3c2b1a"."""
        return " = ".join(method[:10] for method in self.methods)
