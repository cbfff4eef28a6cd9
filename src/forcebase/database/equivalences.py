"""Which DFT methods somebody takes for one: recorded, and taken back by a taint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from forcebase.database.access import refusals_told
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.records import Equivalence, Method
from forcebase.records.method_differences import describe_differences


def equate(db: Database, one: Method, other: Method, reason: str) -> Equivalence:
    """Record that two DFT methods are the same for the purpose; said again, nothing changes.

    Raises:
        InputError: no reason, one method twice, or a model.
    """
    if not reason.strip():
        raise InputError("An equivalence needs a reason.", hint="Say why, for those who read.")
    if one.id == other.id:
        raise InputError(f"{one.id[:10]} is one method, not two.")
    if one.is_model or other.is_model:
        raise InputError("Only DFT methods can be taken for one: a model is its weights.")
    found = Equivalence.of(one.id, other.id, reason)
    with refusals_told(db.raw):
        db.equivalences.add([found])
    return found


def equal_methods(db: Database, methods: Iterable[str]) -> dict[str, list[str]]:
    """All methods that are taken for one with these, directly or by others, and by which records.

    Returns:
        Id of each other method -> ids of the equivalences on the way to it. Tainted ones count
        for nothing.
    """
    tainted = {row["_id"] for row in db.taints.raw.find({"collection": "equivalences"})}
    found: dict[str, list[str]] = {method: [] for method in methods}
    waiting = list(found)
    while waiting:
        known = waiting.pop()
        for row in db.equivalences.raw.find({"methods": known}):
            if row["_id"] in tainted:
                continue
            for other in row["methods"]:
                if other not in found:
                    found[other] = [*found[known], row["_id"]]
                    waiting.append(other)
    return found


def resting_on(db: Database, methods: Iterable[str]) -> list[str]:
    """Ids of the equivalences by which these methods are one; empty for a single method."""
    wanted = list(dict.fromkeys(methods))
    if len(wanted) < 2:
        return []
    reached = equal_methods(db, wanted[:1])
    return sorted({used for method in wanted for used in reached.get(method, [])})


def mixed(db: Database, counts: Mapping[str, int]) -> str:
    """Say in what these methods differ, with counts and short ids."""
    found: list[Any] = list(db.methods.find({"_id": {"$in": list(counts)}}, sort="id"))
    return describe_differences(found, counts)
