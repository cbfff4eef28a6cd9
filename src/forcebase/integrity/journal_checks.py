"""The journal: is each word there that was set, and that no command took away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forcebase.database.database import Database
from forcebase.database.journal import SETS, TAKES_BACK, words_of
from forcebase.database.pieces import IDS_AT_ONCE
from forcebase.integrity.batches import batches
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.integrity.seal_checks import check_seals
from forcebase.records import JournalEntry, Taint
from forcebase.records.journal_entry import Act

AGAIN = {
    Act.NAME: "Name it again, as `db.names.name` does in Python, or restore it from a backup.",
    Act.TAG: "Tag it again, as `db.names.tag` does in Python, or restore it from a backup.",
    Act.TAINT: "`forcebase taint RECORD --reason REASON` says it again.",
    Act.QUARANTINE: "Restore it from a backup: until then nothing keeps the model from running.",
}


def check_journal(db: Database) -> Iterator[tuple[int, list[Finding]]]:
    """Yield (entries looked at, what is wrong), some at a time; the missing words come last.

    Ids of all words are held at once. What others take back meanwhile is not missed.
    """
    for rows in batches(db.journal.entries()):
        yield len(rows), list(check_seals(JournalEntry, rows))
    missing = _missing(db, _standing(db))
    if missing:
        missing = _missing(db, {word: e for word, e in _standing(db).items() if word in missing})
    yield 0, [_finding(place, word, entry) for (place, word), entry in missing.items()]


Words = dict[tuple[str, str], dict[str, Any]]
"""(collection, id) of a word -> the entry that set it last."""


def _standing(db: Database) -> Words:
    """The words that should be there."""
    found: Words = {}
    for entry in db.journal.entries():
        act = entry["act"]
        if act in SETS:
            said = {key: entry.get(key) for key in ("act", "at", "text", "user", "collection")}
            found |= {(SETS[Act(act)], word): said for word in words_of(entry)}
        elif act in TAKES_BACK:
            for word in words_of(entry):
                found.pop((SETS[TAKES_BACK[Act(act)]], word), None)
    return found


def _missing(db: Database, words: Words) -> Words:
    missing: Words = {}
    for place in set(SETS.values()):
        ids = [word for where, word in words if where == place]
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            there = {row["_id"] for row in db.raw[place].find({"_id": {"$in": some}}, {"_id": 1})}
            missing |= {(place, word): words[place, word] for word in some if word not in there}
    return missing


def _finding(place: str, word: str, entry: dict[str, Any]) -> Finding:
    who = f" by {entry['user']}" if entry.get("user") else ""
    said = f" ({entry['text']})" if entry.get("text") and place == Taint.collection_name() else ""
    words = (
        f"the {entry['act']}{said} of {entry['at']:%Y-%m-%d %H:%M}{who} was removed, by no command"
    )
    return Finding(FindingKind.WORD_MISSING, place, word, words, AGAIN[Act(entry["act"])])
