"""Which fields of records name other records and blobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reference:
    """A field that holds the id of another record.

    Attributes:
        field: its name, dotted where it is inside another.
        collection: of the record that it names.
        role: of the provenance edge that says the same; "" where there is none.
    """

    field: str
    collection: str
    role: str = ""


REFERENCES: dict[str, tuple[Reference, ...]] = {
    "structures": (Reference("recipe.parent", "structures", "parent"),),
    "methods": (
        Reference("dataset", "datasets", "training data"),
        Reference("parent", "methods", "parent model"),
    ),
    "equivalences": (),
    "calculations": (
        Reference("structure", "structures", "structure"),
        Reference("method", "methods", "method"),
    ),
    "datasets": (
        Reference("parent", "datasets", "parent version"),
        Reference("method", "methods", "method"),
    ),
    "phonons": (
        Reference("structure", "structures", "structure"),
        Reference("method", "methods", "method"),
        Reference("initial_structure", "structures"),
        Reference("defect.host", "structures", "host"),
    ),
    "validations": (Reference("model", "methods"), Reference("reference", "methods")),
}
BLOB_FIELDS: dict[str, tuple[str, ...]] = {
    "methods": ("weights", "neutral"),
    "calculations": ("log",),
    "phonons": ("force_constants",),
    "validations": ("inputs",),
    "activities": ("run.raw_file",),
}
"""The fields of a collection's documents that name blobs, dotted where one is inside another."""


def references_of(collection: str, document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (role, collection, id) of all that a stored record refers to, its activity included."""
    provenance = document.get("provenance") or {}
    for edge in provenance.get("edges") or []:
        yield edge["role"], edge["collection"], edge["record"]
    if provenance.get("activity"):
        yield "made by", "activities", provenance["activity"]
    for reference in REFERENCES[collection]:
        named = value_at(document, reference.field)
        if named:
            yield reference.role or reference.field, reference.collection, named


def blobs_of(collection: str, document: dict[str, Any]) -> Iterator[str]:
    """Yield the digests of the blobs that a stored record names."""
    for field in BLOB_FIELDS.get(collection, ()):
        if named := value_at(document, field):
            yield named


def unsaid_edges(collection: str, document: dict[str, Any]) -> Iterator[tuple[Reference, str]]:
    """Yield (reference, id) of fields whose provenance edge is not there or names another."""
    edges = (document.get("provenance") or {}).get("edges") or []
    said = {(edge["role"], edge["record"]) for edge in edges}
    for reference in REFERENCES[collection]:
        named = value_at(document, reference.field)
        if named and reference.role and (reference.role, named) not in said:
            yield reference, named


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
