"""A model that came from elsewhere as a record, and whether it may run."""

from __future__ import annotations

from typing import Any, ClassVar

from mongoengine import DateTimeField, StringField

from forcebase.records.base import DIGEST_PATTERN, Sealed, utc_now
from forcebase.records.description import Description


class Quarantine(Sealed):
    """A model that an archive brought: it runs nothing until somebody trusted it.

    The record stays when it is trusted, and says when. See `forcebase.database.trust`.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "quarantine", "indexes": ["trusted_at"]}
    DESCRIPTION = Description(rights=("insert", "update"))  # a model is trusted

    id = StringField(primary_key=True, regex=DIGEST_PATTERN, help_text="id of the model")
    origin = StringField(required=True, help_text="name and SHA-256 of the file that it came in")
    since = DateTimeField(required=True, default=utc_now)
    trusted_at = DateTimeField(help_text="when somebody let it run; nothing until then")
