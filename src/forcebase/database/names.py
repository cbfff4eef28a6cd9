"""Names and tags: movable words that stand for records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ReplaceOne
from pymongo.database import Database as MongoDatabase

from forcebase.database.access import refusals_told
from forcebase.database.journal import Journal
from forcebase.database.pieces import in_pieces
from forcebase.errors import InputError, NotFoundError
from forcebase.records import Name
from forcebase.records.base import utc_now
from forcebase.records.journal_entry import Act
from forcebase.safety.names import NAME_OR_TAG_PATTERN


class Names:
    """Names (one record at a time) and tags (many records)."""

    def __init__(self, database: MongoDatabase, journal: Journal) -> None:
        self._raw = database[Name._meta["collection"]]
        self._journal = journal

    def check(self, text: str, kind: str = "name") -> None:
        """Check that `text` can be a name or tag.

        Raises:
            InputError: it cannot.
        """
        found = text if isinstance(text, str) else ""  # data may have put a number there
        if found != found.strip() or ":" in found or not re.match(NAME_OR_TAG_PATTERN, found):
            raise InputError(
                f"{str(text)[:200]!r} cannot be a {kind}: it is a text with no colon, no space at "
                "the ends, one line of at most 1,000 printed characters."
            )

    def name(self, text: str, collection: str, record: str) -> None:
        """Let `text` stand for this record from now on; where it does, nothing changes."""
        self.check(text, "name")
        with refusals_told(self._raw.database):
            if self.named(text) == (collection, record):
                return
        self._set("name", text, collection, [record])
        self._journal.note(Act.NAME, text, collection, [record])

    def unname(self, text: str) -> None:
        """Let `text` stand for no record; where it stands for none, nothing changes."""
        found = self.named(text)
        if found is not None:
            self._journal.note(Act.UNNAME, text, found[0], [found[1]])
            self._raw.delete_one({"_id": f"name:{text}"})

    def tag(self, text: str, collection: str, *records: str, activity: str | None = None) -> None:
        """Put records among those tagged `text`; doing so twice changes nothing.

        Args:
            text: the tag.
            collection: of the records.
            *records: their ids.
            activity: id of the import that brings them.
        """
        self.check(text, "tag")
        with refusals_told(self._raw.database):
            wanted = {"_id": {"$in": [f"tag:{text}:{record}" for record in records]}}
            there = {row["record"] for piece in in_pieces(wanted) for row in self._raw.find(piece)}
        new = [record for record in dict.fromkeys(records) if record not in there]
        if new:
            self._set("tag", text, collection, new)
            self._journal.note(Act.TAG, text, collection, new, activity=activity)

    def untag(self, text: str, record: str) -> None:
        """Take the tag off this record."""
        tagged = {"_id": f"tag:{text}:{record}"}
        found = self._raw.find_one(tagged)
        if found is not None:
            self._journal.note(Act.UNTAG, text, found["collection"], [record])
        with refusals_told(self._raw.database):
            gone = self._raw.delete_one(tagged)
        if not gone.deleted_count:
            raise NotFoundError(f"Record {record[:10]} does not carry the tag {text!r}.")

    def named(self, text: str) -> tuple[str, str] | None:
        """Give (collection, id) of the record of this name, or None."""
        found = self._raw.find_one({"_id": f"name:{text}"})
        return (found["collection"], found["record"]) if found else None

    def tagged(self, text: str, collection: str | None = None, limit: int = 0) -> list[str]:
        """Ids of the records that carry this tag, or of the first few."""
        query = {"kind": "tag", "text": text}
        if collection:
            query["collection"] = collection
        return [found["record"] for found in self._raw.find(query).sort("_id", 1).limit(limit)]

    def names_of(self, records: Sequence[str]) -> dict[str, str]:
        """Record -> what stands for it alone: a name, or a tag that no other record carries."""
        found: dict[str, list[tuple[str, str]]] = {}
        for piece in in_pieces({"record": {"$in": list(records)}}):
            for row in self._raw.find(piece):
                found.setdefault(row["record"], []).append((row["kind"], row["text"]))
        tags = {text for some in found.values() for kind, text in some if kind == "tag"}
        counts: list[Mapping[str, Any]] = [
            {"$match": {"kind": "tag", "text": {"$in": sorted(tags)}}},
            {"$sortByCount": "$text"},
        ]
        alone = {row["_id"] for row in self._raw.aggregate(counts) if row["count"] == 1}
        chosen = {
            record: sorted(x for x in some if x[0] == "name" or x[1] in alone)
            for record, some in found.items()
        }
        return {record: some[0][1] for record, some in chosen.items() if some}

    def all_of(self, records: Sequence[str]) -> dict[str, list[str]]:
        """Record -> its names and then its tags, each sorted; those with none are left out."""
        found: dict[str, list[tuple[str, str]]] = {}
        for piece in in_pieces({"record": {"$in": list(records)}}):
            for row in self._raw.find(piece):
                found.setdefault(row["record"], []).append((row["kind"], row["text"]))
        return {record: [text for _, text in sorted(some)] for record, some in found.items()}

    def all(self, collection: str | None = None, limit: int = 10_000) -> list[str]:
        """Names and tags that there are, each once: the first so many by alphabet."""
        query = {"collection": collection} if collection else {}
        rows = self._raw.find(query, {"text": 1}).sort("_id", 1).limit(limit)
        return list(dict.fromkeys(row["text"] for row in rows))

    def of(self, record: str) -> list[str]:
        """Names and tags of a record."""
        return sorted(found["text"] for found in self._raw.find({"record": record}))

    def _set(self, kind: str, text: str, collection: str, records: Sequence[str]) -> None:
        changes = []
        for record in records:
            name = f"name:{text}" if kind == "name" else f"tag:{text}:{record}"
            stands = Name(
                id=name,
                kind=kind,
                text=text,
                collection=collection,
                record=record,
                set_at=utc_now(),
            )
            stands.validate()
            changes.append(ReplaceOne({"_id": name}, stands.to_mongo().to_dict(), upsert=True))
        with refusals_told(self._raw.database):
            self._raw.bulk_write(changes, ordered=False)
