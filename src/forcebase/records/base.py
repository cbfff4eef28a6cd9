"""What all records share: an id that is their content's digest, and their provenance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import bson
from ase import Atoms
from mongoengine import (
    DateTimeField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    StringField,
)

from forcebase.digest import bytes_digest, content_digest
from forcebase.errors import InputError
from forcebase.records.bound import SHORT, Home, home_of, html_card
from forcebase.records.description import Description, Reference

DIGEST_PATTERN = r"^[0-9a-f]{64}$"
CHECKSUM = "checksum"
StructuresOf = Callable[[Iterable[str]], Mapping[str, Any]]
"""Gives structures by their ids."""


def utc_now() -> datetime:
    """Now, in UTC, to the millisecond that MongoDB keeps, without a zone."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def document_checksum(document: Mapping[str, Any], open_fields: Collection[str] = ()) -> str:
    """SHA-256 of a whole document as MongoDB keeps it, but for the checksum itself.

    The id covers what a record says, as far as it matters: a geometry to 1e-8, no timings, no
    provenance. The checksum covers every byte, so that a change by hand shows wherever it was.
    The order of the fields does not matter, for MongoDB moves the id to the front.

    Args:
        document: as pymongo gives it.
        open_fields: top-level fields that may change and are not covered.
    """
    left_out = {CHECKSUM, *open_fields}
    return bytes_digest(
        bson.encode({k: document[k] for k in sorted(document) if k not in left_out})
    )


class Sealed(Document):
    """A document that carries a checksum of itself, made wherever its stored form is made."""

    meta: ClassVar[dict[str, Any]] = {"abstract": True}
    OPEN_FIELDS: ClassVar[tuple[str, ...]] = ()
    """Fields that may change after the document was written; the checksum leaves them out."""
    LEADS_TO: ClassVar[tuple[Reference, ...]] = ()
    """Fields of a part of a record that name other records: what archives and checks find by the
    record that it is part of."""
    DESCRIPTION: ClassVar[Description] = Description()
    """What lists, traces, archives, checks and pictures must know of it."""

    _home: ClassVar[Home | None] = None
    checksum = StringField(regex=DIGEST_PATTERN, help_text="of the document as it is stored")

    @classmethod
    def checksum_of(cls, document: Mapping[str, Any]) -> str:
        """The checksum that a stored document of this class should carry."""
        return document_checksum(document, cls.OPEN_FIELDS)

    @classmethod
    def collection_name(cls) -> str:
        """Name of the MongoDB collection."""
        return str(cls._meta["collection"])

    @property
    def title(self) -> str:
        """A short name for people."""
        return f"{self.collection_name().removesuffix('s')} {str(self.pk)[:10]}"

    def facts(self) -> list[tuple[str, object]]:
        """What people are shown of it, beside its title: names and words with units."""
        return []

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.facts()[:3] if value != "")
        parts = [type(self).__name__, self.title, f"({told})" if told else "", self._called()]
        return f"<{' '.join(part for part in parts if part)}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        rows = [("id", self._called()), *((n, v) for n, v in self.facts() if v != "")]
        return html_card(f"{type(self).__name__} {self.title}", rows)

    def _called(self) -> str:
        """The name that people gave it, where its database is known, and the id's digits."""
        short = str(self.pk)[:SHORT]
        if self._home is None:
            return short
        try:
            name = self._home.name_of(self.pk)
        except Exception:  # the connection was closed
            return short
        return f"{name!r} {short}" if name else short

    def to_mongo(self, *args: Any, **kwargs: Any) -> Any:
        """Give the stored form, with the checksum of what it now holds."""
        document = super().to_mongo(*args, **kwargs)
        document[CHECKSUM] = self.checksum_of(document)
        return document


class Edge(EmbeddedDocument):
    """A typed link to a record that this one was made from."""

    role = StringField(required=True, help_text="what the other record was to this one")
    collection = StringField(required=True, help_text="collection of the other record")
    record = StringField(required=True, help_text="id of the other record")


class Provenance(EmbeddedDocument):
    """Where a record comes from: the activity that made it, and the records it was made from."""

    activity = StringField(help_text="id of the job, import or comparison that made it")
    edges = EmbeddedDocumentListField(Edge)


class Record(Sealed):
    """A record, immutable and named by its content.

    `content` says what the id covers; everything else (timings, provenance, labels) stands
    beside it.
    """

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "indexes": ["provenance.activity"]}

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

    @classmethod
    def digests_of(cls, documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:  # noqa: ARG003
        """Digests of many stored documents by id, where that is faster than one by one.

        Those that are not among them are to be asked by themselves.
        """
        return {}

    @classmethod
    def atoms_of(cls, found: Sequence[Any], structures: StructuresOf) -> list[Atoms]:  # noqa: ARG003
        """Give one ASE Atoms per record.

        Args:
            found: records of this class.
            structures: gives structures by their ids.

        Raises:
            InputError: the records of this class are not structures.
        """
        raise InputError("These records are not structures: they have no atoms.")

    @property
    def activity(self) -> Any:
        """The activity that made it, a job, an import or a comparison; None where none is known.

        Raises:
            InputError: it was not read by `forcebase.connect()`.
        """
        made_by = self.provenance.activity
        return home_of(self).record("activities", made_by) if made_by else None

    def made_from(self, role: str, collection: str, record: str) -> Self:
        """Add an edge to a record that this one was made from."""
        self.provenance.edges.append(Edge(role=role, collection=collection, record=record))
        return self
