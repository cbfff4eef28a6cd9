"""A database to which the records that it gives can turn: `forcebase.records.bound.Home`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from forcebase.database.database import Database

if TYPE_CHECKING:
    from forcebase.api.answers import RecordAnswers


class HomeDatabase(Database):
    """What records ask of the database that they were read from."""

    @cached_property
    def answers(self) -> RecordAnswers:
        """What the records are asked for: see `forcebase.records.bound.Answers`."""
        from forcebase.api.answers import RecordAnswers

        return RecordAnswers(self)

    def record(self, collection: str, record_id: str) -> Any:
        """The record of this full id."""
        return self.collection(collection).get(record_id)

    def name_of(self, record_id: str) -> str:
        """What stands for a record alone: a name, or a tag of no other; "" where it has none."""
        return self.names.names_of([record_id]).get(record_id, "")

    def get(self, text: str, collection: str | None = None) -> Any:
        """Give any record by its id, its first digits, its name or its tag.

        Raises:
            NotFoundError: no record, or more than one, is called so.
        """
        return self.resolve(str(text), collection)[1]
