"""Which kinds of records there are: each class registers, and says all else about itself."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from mongoengine import Document

from forcebase.records.base import Record
from forcebase.records.description import BlobField, Column, Description, Reference


@dataclass(frozen=True)
class Kind:
    """The documents of one collection.

    Attributes:
        name: of the collection.
        document: the class; where it has subclasses, each document is of one of these.
        about: what the class and its subclasses say of themselves.
    """

    name: str
    document: type[Document]
    about: Description

    @classmethod
    def of(cls, document: type[Document]) -> Self:
        """Read what a class and its subclasses say of themselves."""
        classes = (document, *document.__subclasses__())
        said = [one.__dict__["DESCRIPTION"] for one in classes if "DESCRIPTION" in one.__dict__]
        return cls(str(document._meta["collection"]), document, _together(said))

    @property
    def classes(self) -> tuple[type[Document], ...]:
        """Of which the documents are."""
        return tuple(self.document.__subclasses__()) or (self.document,)

    @property
    def is_record(self) -> bool:
        """Whether they are named by their content."""
        return issubclass(self.document, Record)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of a list of them."""
        return self.about.columns or (Column("id"), Column("title"))

    @property
    def references(self) -> tuple[Reference, ...]:
        """Fields that name other records."""
        return self.about.references

    @property
    def blobs(self) -> tuple[BlobField, ...]:
        """Fields that name blobs."""
        return self.about.blobs

    @property
    def indexed(self) -> set[str]:
        """Fields by which an index finds the documents."""
        specs = [spec for one in self.classes for spec in one._meta.get("indexes", [])]
        keys = [spec["fields"] if isinstance(spec, dict) else spec for spec in specs]
        return {key if isinstance(key, str) else key[0] for key in keys}

    def field_types(self) -> dict[str, Any]:
        """Field name -> mongoengine's field, of all classes."""
        return {
            name: f for one in (self.document, *self.classes) for name, f in one._fields.items()
        }


_REGISTERED: dict[str, Kind] = {}


def register(document: type[Document]) -> type[Document]:
    """Add a class of documents: from now on all commands and new databases know its collection.

    Its subclasses must be there already. Registering a class again changes nothing.

    Raises:
        ValueError: another class has the collection.
    """
    kind = Kind.of(document)
    known = _REGISTERED.get(kind.name)
    if known is not None and known.document is not document:
        raise ValueError(f"{known.document.__name__} has the collection {kind.name} already")
    _REGISTERED[kind.name] = kind
    return document


def kinds() -> tuple[Kind, ...]:
    """All of them, in the order in which they registered."""
    return tuple(_REGISTERED.values())


def record_kinds() -> tuple[Kind, ...]:
    """Those of records, which are named by their content."""
    return tuple(kind for kind in kinds() if kind.is_record)


def kind_of(collection: str) -> Kind:
    """The kind of a collection's documents; raises KeyError for a collection that there is not."""
    return _REGISTERED[collection]


def part_kinds(collection: str) -> tuple[Kind, ...]:
    """Kinds of what is part of the records of a collection, as members are of datasets."""
    return tuple(kind for kind in kinds() if kind.about.part_of == collection)


def _together(said: list[Description]) -> Description:
    """Lists one after another; of the rest, what the first says that is not the usual."""
    usual = Description()
    values: dict[str, Any] = {}
    for field in fields(Description):
        found = [getattr(one, field.name) for one in said]
        if isinstance(getattr(usual, field.name), tuple) and field.name != "rights":
            values[field.name] = tuple(item for some in found for item in some)
        else:
            default = getattr(usual, field.name)
            values[field.name] = next((one for one in found if one != default), default)
    return Description(**values)
