"""A record that is not to be trusted, and why."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import DateTimeField, ListField, StringField

from forcebase.records.base import Sealed, utc_now
from forcebase.records.description import Description


class Taint(Sealed):
    """The word that a record is bad; what depends on it is stale for as long as it stands.

    Only this is written, no marks on what depends: see `forcebase.provenance.taint`.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "taints", "indexes": ["collection"]}
    OPEN_FIELDS = ("reached", "clear")
    DESCRIPTION = Description(rights=("insert", "update", "remove"))  # they are taken back

    id = StringField(primary_key=True, help_text="id of the record")
    collection = StringField(required=True, help_text="of the record, or activities")
    reason = StringField(required=True, min_length=1)
    set_at = DateTimeField(required=True, default=utc_now)
    reached = ListField(StringField(), help_text="datasets and validations that it reaches")
    clear = ListField(StringField(), help_text="those that it is known not to reach")
