"""What can be traced or tainted: a record, an activity, or a member of a dataset."""

from __future__ import annotations

from typing import NamedTuple

from forcebase.database.database import Database
from forcebase.errors import NotFoundError


class Subject(NamedTuple):
    """Where a document is and what it is called there."""

    collection: str
    record: str


def find_subject(db: Database, text: str) -> Subject:
    """Find what `text` names: as `Database.resolve`, and whole ids of activities and members.

    Raises:
        NotFoundError: no record, or more than one, matches it.
    """
    for collection in (db.activities, db.members):
        if collection.raw.find_one({"_id": text}, {"_id": 1}):
            return Subject(collection.name, text)
    try:
        collection_name, record = db.resolve(text)
    except NotFoundError:
        start = {"_id": {"$gte": text, "$lt": text + "g"}}
        jobs = list(db.activities.raw.find(start, {"_id": 1}).limit(2))
        if len(text) < 4 or len(jobs) != 1:
            raise
        return Subject(db.activities.name, jobs[0]["_id"])
    return Subject(collection_name, record.id)
