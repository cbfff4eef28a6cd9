"""Which records and blobs a stored record names, by what its class says of its fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forcebase.records.description import Reference
from forcebase.records.kinds import kind_of


def references_of(collection: str, document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (role, collection, id) of all that a stored record refers to, its activity included."""
    provenance = document.get("provenance") or {}
    for edge in provenance.get("edges") or []:
        yield edge["role"], edge["collection"], edge["record"]
    if provenance.get("activity"):
        yield "made by", "activities", provenance["activity"]
    for reference in kind_of(collection).references:
        named = value_at(document, reference.field)
        if named:
            yield reference.called, reference.collection, named


def blobs_of(collection: str, document: dict[str, Any]) -> Iterator[str]:
    """Yield the digests of the blobs that a stored record names."""
    for blob in kind_of(collection).blobs:
        if named := value_at(document, blob.field):
            yield named


def unsaid_edges(collection: str, document: dict[str, Any]) -> Iterator[tuple[Reference, str]]:
    """Yield (reference, id) of fields whose provenance edge is not there or names another."""
    edges = (document.get("provenance") or {}).get("edges") or []
    said = {(edge["role"], edge["record"]) for edge in edges}
    for reference in kind_of(collection).references:
        named = value_at(document, reference.field)
        if named and reference.role and (reference.role, named) not in said:
            yield reference, named


def may_be_elsewhere(collection: str, role: str) -> bool:
    """Whether a database may lack what is `role` to a record of a collection."""
    return any(
        reference.called == role and reference.may_be_elsewhere
        for reference in kind_of(collection).references
    )


def value_at(document: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, or None."""
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
