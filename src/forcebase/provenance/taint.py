"""Taints: the word that a record is bad, and what is stale because of it.

Only the word is written, never a mark on what depends on it. Whether a record is stale follows
from the records that it was made from, and those never change: so a record made after the taint is
stale too without anyone having to think of it, an `untaint` is one deletion, and where taints
overlap each goes on doing what it does. A million calculations of a tainted method cost nothing
until they are looked at, and then two look-ups by id for each batch of them. With no taint at all,
which is the usual case, the question costs one query.

What is followed: every provenance edge, the job or import that made a record, the members of a
dataset, and the calculations that went into a comparison. What is not: "parent version" of a
dataset, for a version has members of its own, and one that left the bad record out is sound;
members that were dropped; and, where an import is tainted, the DFT set-up that it was the first
to name, for other imports share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from forcebase.database.access import refusals_told
from forcebase.database.database import Database
from forcebase.errors import InputError, NotFoundError
from forcebase.provenance.reach import reached_heads, reaches_comparison
from forcebase.records import DFTMethod, Taint, Validation
from forcebase.records.base import utc_now
from forcebase.records.journal_entry import Act
from forcebase.records.kinds import kind_of

RECORDS_AT_ONCE = 20_000
"""Records judged together; what is remembered of them is some 10 MB."""


def set_taint(db: Database, collection: str, record_id: str, reason: str) -> Taint:
    """Say that a record is bad; said again, the new reason takes the place of the old.

    Args:
        db: the database.
        collection: a record collection, or activities: then all that the job or import made.
        record_id: full id.
        reason: for people.

    Raises:
        InputError: no reason, or no record that could be tainted.
    """
    if not reason.strip():
        raise InputError("A taint needs a reason.", hint="Say what is wrong, for those who read.")
    if collection not in {*db.record_collections, db.activities.name}:
        raise InputError(
            f"{collection} cannot be tainted.", hint="Taint the calculation or the dataset."
        )
    db.collection(collection).get(record_id)
    found = Taint(id=record_id, collection=collection, reason=reason.strip(), set_at=utc_now())
    with refusals_told(db.raw):
        db.taints.raw.replace_one({"_id": record_id}, db.taints.checked(found), upsert=True)
    db.journal.note(Act.TAINT, found.reason, collection, [record_id], at=found.set_at)
    return found


def remove_taint(db: Database, record_id: str) -> Taint:
    """Take the word back, and give it; what another taint reaches stays stale.

    Raises:
        NotFoundError: there is no taint on this record itself.
    """
    found = db.taints.one(id=record_id)
    if found is None:
        raise NotFoundError(
            f"There is no taint on {record_id[:10]} itself.",
            hint="`forcebase show` names the record from which it is stale: untaint that one.",
        )
    db.journal.note(Act.UNTAINT, found.reason, found.collection, [record_id])
    with refusals_told(db.raw):
        db.taints.raw.delete_one({"_id": record_id})
    return found


def stale_among(db: Database, collection: str, ids: Iterable[str]) -> dict[str, str]:
    """Which of these records are tainted or depend on one that is, and why, in a line.

    Args:
        db: the database.
        collection: theirs.
        ids: full ids; those that are not there count as sound.
    """
    taints = list(db.taints.iterate(sort="set_at"))
    if not taints:
        return {}
    judge = _Judge(db, {taint.id: taint for taint in taints})
    return {
        record: judge.reason(record, found)
        for batch in _batches(ids)
        for record, found in judge.judge(collection, batch).items()
        if found
    }


def stale_comparison(db: Database, validation: Validation) -> list[str]:
    """Why a comparison that is not stored is stale, a line for each reason."""
    sides: dict[str, list[str]] = {}
    for edge in validation.provenance.edges:
        sides.setdefault(edge.collection, []).append(edge.record)
    found = [stale_among(db, collection, ids) for collection, ids in sides.items()]
    reasons = [f"{name[:10]} {why}" for stale in found for name, why in stale.items()]
    row = validation.to_mongo().to_dict()
    data = getattr(validation, "unstored_inputs", None)
    taints = [taint for taint in db.taints.iterate() if reaches_comparison(db, taint, row, data)]
    return reasons + [_words("", taint) for taint in taints]


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    wanted = list(ids)
    for start in range(0, len(wanted), RECORDS_AT_ONCE):
        yield wanted[start : start + RECORDS_AT_ONCE]


@dataclass
class _Judge:
    """Goes from records up to all that they were made from, then down from what is tainted."""

    db: Database
    taints: Mapping[str, Taint]
    shared: dict[str, set[str]] = field(default_factory=dict)
    """Of records that many depend on: settled once, for all batches."""

    def judge(self, collection: str, ids: Iterable[str]) -> dict[str, set[str]]:
        """Ids of the taints that reach each of these records; those not there are left out."""
        reached: dict[str, set[str]] = {}
        children: dict[str, list[str]] = {}
        settled: set[str] = set()
        wanted = set(ids)
        waiting = {collection: set(wanted)}
        while waiting:
            place, some = waiting.popitem()
            if place not in self.db.record_collections and place != self.db.activities.name:
                continue
            known = some & self.shared.keys()
            reached |= {record: set(self.shared[record]) for record in known}
            for row in self._read(place, some - reached.keys()):
                reached[row["_id"]] = self._own(place, row)
                if not kind_of(place).about.many:  # few, on which many depend: judged once
                    settled.add(row["_id"])
                for edge in _edges(place, row):
                    children.setdefault(edge["record"], []).append(row["_id"])
                    if edge["record"] not in reached:
                        waiting.setdefault(edge["collection"], set()).add(edge["record"])
        _spread(reached, children)
        self.shared |= {record: reached[record] for record in settled}
        return {record: reached[record] for record in wanted & reached.keys()}

    def _read(self, collection: str, ids: set[str]) -> list[dict[str, Any]]:
        fields = {"provenance": 1, "_cls": 1}
        return list(self.db.collection(collection).by_ids(ids, fields)) if ids else []

    def _own(self, collection: str, row: dict[str, Any]) -> set[str]:
        """Taints of the record itself, of what made it, and of the calculations that went in."""
        own = {str(name) for name in (row["_id"], _maker(row)) if name in self.taints}
        if collection in ("datasets", "validations"):
            own |= {taint for taint, heads in self._reached.items() if row["_id"] in heads}
        return own

    @cached_property
    def _reached(self) -> dict[str, set[str]]:
        return {name: reached_heads(self.db, taint) for name, taint in self.taints.items()}

    def reason(self, record: str, found: set[str]) -> str:
        """In words; the taint that stands on the record itself comes first."""
        ordered = sorted(found, key=lambda name: (name != record, self.taints[name].set_at, name))
        return "; ".join(_words(record, self.taints[name]) for name in ordered)


def _words(record: str, taint: Taint) -> str:
    if taint.id == record:
        return f"tainted: {taint.reason}"
    return f"from {taint.collection} {taint.id[:10]}, tainted: {taint.reason}"


def _maker(row: dict[str, Any]) -> str | None:
    """The act that made a record; a DFT set-up was only first named by one."""
    named = row.get("_cls") == DFTMethod._class_name
    return None if named else row.get("provenance", {}).get("activity")


def _edges(collection: str, row: dict[str, Any]) -> list[dict[str, Any]]:
    """Those along which taints go."""
    harmless = {r.role for r in kind_of(collection).references if not r.carries_taint}
    edges = row.get("provenance", {}).get("edges", [])
    return [edge for edge in edges if edge["role"] not in harmless]


def _spread(reached: dict[str, set[str]], children: Mapping[str, list[str]]) -> None:
    """Let taints go from each record to those made from it, until nothing is new."""
    waiting = [record for record, found in reached.items() if found]
    while waiting:
        record = waiting.pop()
        for child in children.get(record, ()):
            if not reached[record] <= reached[child]:
                reached[child] |= reached[record]
                waiting.append(child)
