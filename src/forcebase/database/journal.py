"""The journal: names, tags, taints and quarantine as they were set and taken back.

These words are the only documents that commands remove, so nothing else would tell that one was
removed by hand. An entry is written behind a word that is set, and before one is taken away: a
process that is killed between them leaves a word too many for the journal, never one too few.
"""

from __future__ import annotations

import socket
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database as MongoDatabase

from forcebase.database.access import refusals_told
from forcebase.records import JournalEntry, Name, Quarantine, Taint
from forcebase.records.base import utc_now
from forcebase.records.journal_entry import Act

PLACE = JournalEntry.collection_name()
AT_MIGRATION = "migration"
"""Stands for an activity in entries on what was there before there was a journal."""
IDS_AT_ONCE = 10_000
"""Records of one entry: 0.8 MB."""
SETS = {
    Act.NAME: Name.collection_name(),
    Act.TAG: Name.collection_name(),
    Act.TAINT: Taint.collection_name(),
    Act.QUARANTINE: Quarantine.collection_name(),
}
"""Acts that put a document somewhere, and where."""
TAKES_BACK = {Act.UNNAME: Act.NAME, Act.UNTAG: Act.TAG, Act.UNTAINT: Act.TAINT}


class Journal:
    """The journal of a database.

    Args:
        database: MongoDB's.
        user: gives the name of who is at it.
    """

    def __init__(self, database: MongoDatabase, user: Callable[[], str]) -> None:
        self._raw = database[PLACE]
        self._user = user

    def note(
        self,
        act: Act,
        text: str = "",
        collection: str = "",
        records: Iterable[str] = (),
        at: datetime | None = None,
        activity: str | None = None,
    ) -> None:
        """Write down that something was done.

        Args:
            act: what.
            text: the name, tag, reason or file.
            collection: of the records.
            records: ids of those that it was done to.
            at: UTC; now by default.
            activity: id of the import that did so.

        Raises:
            AccessError: the user may not write.
        """
        ids = list(records)
        pieces = [ids[i : i + IDS_AT_ONCE] for i in range(0, len(ids), IDS_AT_ONCE)] or [[]]
        entries = [
            _entry(act, text, collection, piece, at, activity, self._user()) for piece in pieces
        ]
        with refusals_told(self._raw.database):
            self._raw.insert_many(entries)

    def newest(self, limit: int = 0) -> Iterator[dict[str, Any]]:
        """Entries of users, the newest first; what imports did by the way stands in their own."""
        yield from self._raw.find({"activity": None}).sort("at", -1).limit(limit)

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries by time; of one moment, those that take back come last."""
        later = tuple(act.value for act in TAKES_BACK)
        yield from self._raw.aggregate(
            [
                {"$addFields": {"last": {"$in": ["$act", later]}}},
                {"$sort": {"at": 1, "last": 1}},
                {"$project": {"last": 0}},
            ],
            allowDiskUse=True,
        )


def words_of(entry: Mapping[str, Any]) -> list[str]:
    """Ids of the documents that an entry set or took back."""
    act, text, records = entry["act"], entry.get("text", ""), entry.get("records", [])
    if act in (Act.NAME, Act.UNNAME):
        return [f"name:{text}"]
    if act in (Act.TAG, Act.UNTAG):
        return [f"tag:{text}:{record}" for record in records]
    return list(records)


def note_all(database: MongoDatabase) -> None:
    """Write down all words that are there now: of a database from before there was a journal."""
    journal = Journal(database, lambda: "")
    if database[PLACE].find_one() is not None:  # this was done before
        return
    words: dict[tuple[Act, str, str], list[str]] = defaultdict(list)
    for found in database[Name.collection_name()].find():
        words[Act(found["kind"]), found["text"], found["collection"]].append(found["record"])
    for (act, text, collection), records in words.items():
        journal.note(act, text, collection, records, activity=AT_MIGRATION)
    for taint in database[Taint.collection_name()].find():
        journal.note(
            Act.TAINT, taint["reason"], taint["collection"], [taint["_id"]], activity=AT_MIGRATION
        )
    models = [row["_id"] for row in database[Quarantine.collection_name()].find({}, {"_id": 1})]
    if models:
        journal.note(Act.QUARANTINE, "", "methods", models, activity=AT_MIGRATION)


def _entry(
    act: Act,
    text: str,
    collection: str,
    records: list[str],
    at: datetime | None,
    activity: str | None,
    user: str,
) -> dict[str, Any]:
    entry = JournalEntry(
        id=uuid.uuid4().hex,
        at=at or utc_now(),
        act=act.value,
        text=text or None,
        collection=collection or None,
        records=records,
        activity=activity,
        user=user or None,
        host=socket.gethostname(),
    )
    entry.validate()
    return dict(entry.to_mongo().to_dict())
