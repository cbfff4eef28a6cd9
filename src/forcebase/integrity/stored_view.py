"""A stored document seen as the record that it is, without making one.

A record class says what its content is, and how it is digested. To ask it of a million stored
documents, a mongoengine object for each would take ten times as long as the digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mongoengine import Document

from forcebase.records.array_field import ArrayField, decode_array


class StoredView:
    """Answers to the names of a record class from the stored form.

    Args:
        shape: the record class.
        document: as pymongo gives it.
    """

    def __init__(self, shape: type[Document], document: Mapping[str, Any]) -> None:
        self._shape = shape
        self._document = document

    def __getattr__(self, name: str) -> Any:
        field = self._shape._fields.get(name)
        if field is None:
            return self._of_class(name)
        value = self._document.get(field.db_field)
        if value is None:
            return field.default() if callable(field.default) else field.default
        return decode_array(value) if isinstance(field, ArrayField) else value

    def _of_class(self, name: str) -> Any:
        for base in self._shape.__mro__:
            if name in base.__dict__:
                found = base.__dict__[name]
                return found.__get__(self, self._shape) if hasattr(found, "__get__") else found
        raise AttributeError(name)


def shape_of(document: Mapping[str, Any], base: type[Document]) -> type[Document]:
    """The class of a stored document: the base, or the one of its subclasses that it names.

    Raises:
        KeyError: there is no such class.
    """
    if "_cls" not in document:
        return base
    classes = {known._class_name: known for known in (base, *base.__subclasses__())}
    return classes[document["_cls"]]


def stored_digest(document: Mapping[str, Any], base: type[Document]) -> str:
    """Compute the digest of a stored record's content anew, by its class' own rule.

    Raises:
        Exception: of any kind, where the document has not the shape of a record.
    """
    shape: Any = shape_of(document, base)
    return str(shape.digest(StoredView(shape, document)))
