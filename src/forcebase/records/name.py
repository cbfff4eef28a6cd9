"""Movable names and tags beside the immutable records."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import DateTimeField, StringField

from forcebase.records.base import Sealed, utc_now
from forcebase.records.description import Description
from forcebase.safety.names import NAME_OR_TAG_PATTERN


class Name(Sealed):
    """A name (one record at a time) or a tag (many records)."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "labels",
        "indexes": [["kind", "text", "collection", "_id"], "record"],
    }
    DESCRIPTION = Description(
        rights=("insert", "update", "remove")
    )  # names move, tags are taken off

    id = StringField(primary_key=True, help_text="name:TEXT, or tag:TEXT:record")
    kind = StringField(required=True, choices=("name", "tag"))
    text = StringField(required=True, regex=NAME_OR_TAG_PATTERN)
    collection = StringField(required=True)
    record = StringField(required=True)
    set_at = DateTimeField(required=True, default=utc_now)
