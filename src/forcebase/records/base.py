"""What all records share: an id that is their content's digest, and their provenance."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from mongoengine import (
    DateTimeField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    StringField,
)

from forcebase.digest import content_digest

DIGEST_PATTERN = r"^[0-9a-f]{64}$"


def utc_now() -> datetime:
    """Now, in UTC, to the millisecond that MongoDB keeps, without a zone."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


class Edge(EmbeddedDocument):
    """A typed link to a record that this one was made from."""

    role = StringField(required=True, help_text="what the other record was to this one")
    collection = StringField(required=True, help_text="collection of the other record")
    record = StringField(required=True, help_text="id of the other record")


class Provenance(EmbeddedDocument):
    """Where a record comes from: the activity that made it, and the records it was made from."""

    activity = StringField(help_text="id of the job, import or comparison that made it")
    edges = EmbeddedDocumentListField(Edge)


class Record(Document):
    """A record, immutable and named by its content.

    `content` says what the id covers; everything else (timings, provenance, labels) stands
    beside it.
    """

    meta: ClassVar[dict[str, Any]] = {"abstract": True}

    id = StringField(primary_key=True, regex=DIGEST_PATTERN, help_text="digest of the content")
    provenance = EmbeddedDocumentField(Provenance, required=True, default=Provenance)
    created_at = DateTimeField(required=True, default=utc_now, help_text="when first written, UTC")

    def content(self) -> dict[str, Any]:
        """Give what the digest covers."""
        raise TypeError(f"{type(self).__name__} does not say what its content is")

    def sealed(self) -> Self:
        """Set the id to the digest of the content, check all fields, and give the record."""
        self.id = self.digest()
        self.validate()
        return self

    def digest(self) -> str:
        """Compute the content's digest anew, whatever the id says."""
        return content_digest(self.content())

    def made_from(self, role: str, collection: str, record: str) -> Self:
        """Add an edge to a record that this one was made from."""
        self.provenance.edges.append(Edge(role=role, collection=collection, record=record))
        return self

    @classmethod
    def collection_name(cls) -> str:
        """Name of the MongoDB collection."""
        return cls._meta["collection"]
