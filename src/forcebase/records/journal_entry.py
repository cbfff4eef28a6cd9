"""What was said of records beside them, by whom and when."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from mongoengine import DateTimeField, ListField, StringField

from forcebase.records.base import Sealed, utc_now


class Act(StrEnum):
    """What is done with words, each of which another act may take back."""

    NAME = "name"
    UNNAME = "unname"
    TAG = "tag"
    UNTAG = "untag"
    TAINT = "taint"
    UNTAINT = "untaint"
    QUARANTINE = "quarantine"
    TRUST = "trust"
    RESTORE = "restore"


class JournalEntry(Sealed):
    """One act on names, tags, taints and quarantine, or a restore; none is ever removed."""

    meta: ClassVar[dict[str, Any]] = {"collection": "journal", "indexes": ["at"]}

    id = StringField(primary_key=True, help_text="random")
    at = DateTimeField(required=True, default=utc_now)
    act = StringField(required=True, choices=tuple(act.value for act in Act))
    text = StringField(help_text="name, tag, reason of a taint, or the file it came in")
    collection = StringField(help_text="of the records")
    records = ListField(StringField(), help_text="their ids")
    activity = StringField(help_text="the import that did so; nothing where it was a user")
    user = StringField(help_text="of the database, or else of the machine")
    host = StringField(help_text="the machine that it was done on")
