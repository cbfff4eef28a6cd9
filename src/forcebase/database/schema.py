"""JSON Schema of each collection: generated from the records, installed in MongoDB."""

from __future__ import annotations

import sys
from typing import Any

from mongoengine import (
    BooleanField,
    DateTimeField,
    DictField,
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

from forcebase.records.array_field import ArrayField
from forcebase.records.kinds import kinds

SCHEMA_VERSION = 9
OLDEST_READABLE = 6
"""Records of archives from this version on have the shape of today's: what came is optional."""
SIMPLE_TYPES: dict[type[BaseField], Any] = {
    StringField: "string",
    IntField: ["int", "long"],
    FloatField: ["double", "int", "long"],
    BooleanField: "bool",
    DateTimeField: "date",
    DictField: "object",
}
FINITE = {"minimum": -sys.float_info.max, "maximum": sys.float_info.max}
"""For MongoDB, NaN is less than every number."""


def collection_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema (MongoDB's dialect) of each collection, by its name."""
    schemas = {kind.name: list(map(document_schema, kind.classes)) for kind in kinds()}
    return {
        name: found[0] if len(found) == 1 else {"oneOf": found} for name, found in schemas.items()
    }


def document_schema(document: type[Document] | type[EmbeddedDocument]) -> dict[str, Any]:
    """JSON Schema of one document class."""
    properties: dict[str, Any] = {}
    required = []
    for name, field in sorted(document._fields.items()):
        stored = field.db_field or name
        properties[stored] = _field_schema(field, document)
        if field.required or field.primary_key or name == "_cls":
            required.append(stored)
    schema: dict[str, Any] = {
        "bsonType": "object",
        "title": document.__name__,
        "description": (document.__doc__ or "").strip().split("\n")[0],
        "additionalProperties": False,
        "properties": properties,
    }
    if required:
        schema["required"] = required
    return schema


def _field_schema(field: BaseField, document: Any) -> dict[str, Any]:
    schema = _type_schema(field)
    if field.name == "_cls":
        schema["enum"] = [document._class_name]
    if getattr(field, "choices", None):
        schema["enum"] = list(field.choices)
    if isinstance(field, StringField) and field.regex is not None:
        schema["pattern"] = field.regex.pattern
    if isinstance(field, FloatField):
        schema |= FINITE
    if getattr(field, "min_value", None) is not None:
        schema["minimum"] = field.min_value
    if getattr(field, "min_length", None) is not None:
        schema["minLength"] = field.min_length
    if getattr(field, "help_text", None):
        schema["description"] = field.help_text
    return schema


def _type_schema(field: BaseField) -> dict[str, Any]:
    if isinstance(field, ArrayField):
        return field.schema()
    if isinstance(field, EmbeddedDocumentListField):
        return {"bsonType": "array", "items": document_schema(field.field.document_type)}
    if isinstance(field, EmbeddedDocumentField):
        return document_schema(field.document_type)
    for kind, bson_type in SIMPLE_TYPES.items():
        if isinstance(field, kind):
            return {"bsonType": bson_type}
    if isinstance(field, ListField):
        items = {"items": _type_schema(field.field)} if field.field is not None else {}
        return {"bsonType": "array", **items}
    raise TypeError(f"{type(field).__name__} has no JSON Schema")
