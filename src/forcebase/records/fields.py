"""Fields by which records are found: their names, types and units, read from the record classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from typing import Any

from mongoengine import (
    BooleanField,
    DateTimeField,
    Document,
    EmbeddedDocument,
    EmbeddedDocumentField,
    EmbeddedDocumentListField,
    FloatField,
    IntField,
    ListField,
    StringField,
)
from mongoengine.base import BaseField

from forcebase.errors import InputError
from forcebase.records.array_field import ArrayField
from forcebase.records.kinds import Kind, kind_of


class FieldType(StrEnum):
    """What a field holds, or each item of a list."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT = "object"
    ARRAY = "array"
    ANY = "any"


TYPES: tuple[tuple[type[BaseField], FieldType], ...] = (
    (StringField, FieldType.TEXT),
    (IntField, FieldType.INTEGER),
    (FloatField, FieldType.NUMBER),
    (BooleanField, FieldType.BOOLEAN),
    (DateTimeField, FieldType.DATE),
    (ArrayField, FieldType.ARRAY),
    (ListField, FieldType.ANY),
)
HIDDEN = ("checksum", "_cls")
"""They say nothing of the record itself."""
MODIFIED = ("last_modified", "created_at")
"""Records do not change, so OPTIMADE's date of the last change is that of their making."""


@dataclass(frozen=True)
class Field:
    """A field by which records of one collection are found.

    Attributes:
        name: as filters have it.
        stored: its path in the stored document.
        type: what it holds; what is inside an object may be of any type.
        many: whether it is a list of these.
        unit: of its numbers.
        description: what it says.
        reference: collection of the record that it names, "" where it names none.
        inside: path of the list of objects in which it stands; "" for most.
    """

    name: str
    stored: str
    type: FieldType
    many: bool = False
    unit: str = ""
    description: str = ""
    reference: str = ""
    inside: str = ""

    @property
    def type_name(self) -> str:
        """The type in words, as "list of text"."""
        if self.type is FieldType.ANY and not self.many:
            return "any"
        return f"list of {self.type}" if self.many else str(self.type)


def fields_of(collection: str) -> Mapping[str, Field]:
    """Fields of the records of a collection, by their names; aliases come last.

    Raises:
        KeyError: there is no such collection.
    """
    return _fields(kind_of(collection))


@cache
def _fields(kind: Kind) -> Mapping[str, Field]:
    found: dict[str, Field] = {}
    for shape in (kind.document, *kind.classes):
        for field in _of_class(shape):
            found.setdefault(field.name, field)
    for one in kind.references:
        if not one.may_be_elsewhere:
            known = found.get(one.field, Field(one.field, one.field, FieldType.TEXT))
            found[one.field] = replace(known, reference=one.collection)
    if kind.is_record:
        found["id"] = replace(found["id"], reference=kind.name)
    aliases = [*kind.about.aliases, *([MODIFIED] if MODIFIED[1] in found else [])]
    for alias, name in aliases:
        found[alias] = replace(
            found[name], name=alias, description=f"`{name}`, in OPTIMADE's words"
        )
    return found


def _of_class(
    shape: type[Document] | type[EmbeddedDocument],
    name: str = "",
    stored: str = "",
    within: str = "",
) -> Iterable[Field]:
    for key, field in shape._fields.items():
        if key in HIDDEN:
            continue
        yield from _of_field(field, f"{name}{key}", f"{stored}{field.db_field or key}", within)


def _of_field(field: BaseField, name: str, stored: str, within: str) -> Iterable[Field]:
    told: dict[str, Any] = {
        "unit": str(getattr(field, "unit", "")),
        "description": str(getattr(field, "help_text", None) or ""),
        "inside": within,
    }
    if isinstance(field, EmbeddedDocumentListField):
        yield Field(name, stored, FieldType.OBJECT, True, **told)
        yield from _of_class(field.field.document_type, f"{name}.", f"{stored}.", stored)
    elif isinstance(field, EmbeddedDocumentField):
        yield Field(name, stored, FieldType.OBJECT, **told)
        yield from _of_class(field.document_type, f"{name}.", f"{stored}.", within)
    else:
        several = isinstance(field, ListField)
        held = field.field if several else field
        yield Field(name, stored, _type(held), several or bool(within), **told)


def _type(field: BaseField | None) -> FieldType:
    if field is None:
        return FieldType.ANY
    return next((t for kind, t in TYPES if isinstance(field, kind)), FieldType.OBJECT)


def find_field(collection: str, path: str) -> tuple[Field, str]:
    """Find the field that a dotted path names.

    Args:
        collection: of the records.
        path: as `energy`, `basis.cutoff_eV` or `method.functional`.

    Returns:
        The field, and the rest of the path, which belongs to the records that it names; "" where
        the path ends in this collection.

    Raises:
        InputError: the collection's records do not have it.
    """
    known = fields_of(collection)
    if path in known:
        return known[path], ""
    parts = path.split(".")
    for n in range(len(parts) - 1, 0, -1):
        field = known.get(".".join(parts[:n]))
        if field is None:
            continue
        rest = ".".join(parts[n:])
        if field.reference and field.name != "id":
            return field, rest
        if field.type is FieldType.OBJECT and _is_open(collection, field):
            stored = f"{field.stored}.{rest}"
            return Field(path, stored, FieldType.ANY, inside=field.inside), ""
        if field.type is not FieldType.OBJECT:
            raise InputError(
                f"There is nothing inside {field.name} of {collection}, which is of type "
                f"{field.type_name}: {path}.",
                hint=_listed(collection),
            )
        break
    raise unknown_field(collection, path)


def _is_open(collection: str, field: Field) -> bool:
    """Whether it may hold what its class does not say; an embedded document does not."""
    return not any(name.startswith(f"{field.name}.") for name in _declared(kind_of(collection)))


@cache
def _declared(kind: Kind) -> frozenset[str]:
    """Names of fields of embedded documents."""
    shapes = (kind.document, *kind.classes)
    return frozenset(f.name for shape in shapes for f in _of_class(shape) if "." in f.name)


def unknown_field(collection: str, name: str) -> InputError:
    """The error for a field that there is not, with the names that are most like it."""
    known = fields_of(collection)
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return InputError(f"{collection} has no field {name!r}.", hint=f"{meant}{_listed(collection)}")


def _listed(collection: str) -> str:
    return f"`forcebase fields {collection}` lists them."


def completions(collection: str, begun: str) -> list[tuple[str, str]]:
    """Names of fields that begin so, each with its type and unit, for a shell."""
    return [
        (name, " ".join(part for part in (field.type_name, field.unit) if part))
        for name, field in fields_of(collection).items()
        if name.startswith(begun)
    ]


def plain_type(value: Any) -> str:
    """What a value of a filter is, in words."""
    if isinstance(value, bool):
        return "a boolean"
    return "text" if isinstance(value, str) else "a number"
