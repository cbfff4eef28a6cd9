"""What people call records: by names, by titles, and else by the first digits of their ids."""

from __future__ import annotations

from collections.abc import Iterable

from forcebase.database.database import Database

SHORT = 10
"""Hex digits of an id that stand for it in tables and sentences."""


def called(db: Database, ids: Iterable[str]) -> dict[str, str]:
    """Id -> the name of the record, or the title of a method or dataset, or the id's first digits.

    Datasets go by their title before all, as "wse2-pbe@1", for names of theirs move.
    """
    wanted = sorted(set(ids))
    titles: dict[str, dict[str, str]] = {}
    for collection in (db.methods, db.datasets):
        rows = collection.raw.find({"_id": {"$in": wanted}}, {"learning_curve": 0, "steps": 0})
        titles[collection.name] = {r["_id"]: collection.document._from_son(r).title for r in rows}
    short = {record: record[:SHORT] for record in wanted}
    return short | titles["methods"] | db.names.names_of(wanted) | titles["datasets"]
