"""Names, tags and taints: does each stand for something."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from forcebase.database.database import Database
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.provenance.reach import misjudged
from forcebase.records import Taint


def check_names_and_tags(
    db: Database, place: str, rows: Sequence[dict[str, Any]]
) -> Iterator[Finding]:
    """Find those that stand for records that are not there.

    Args:
        db: the database.
        place: labels, or taints.
        rows: stored documents of it.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        wanted[row.get("collection", "")].add(_record(row))
    known = {*db.record_collections, db.activities.name}
    missing = {
        name: db.collection(name).missing(ids) if name in known else ids
        for name, ids in wanted.items()
    }
    for row in rows:
        record = _record(row)
        place_of_it = row.get("collection", "")
        if record in missing[place_of_it]:
            yield Finding(
                FindingKind.ORPHAN_LABEL,
                place,
                row["_id"],
                f"it stands for {record[:10]} of {place_of_it or 'nothing'}, which is not there",
                "Restore the record from a backup, or take the word away.",
                f"{place_of_it} {record}",
            )


def check_reach(db: Database, rows: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """Ask again how far taints reach, where the answer is kept beside them.

    Args:
        db: the database.
        rows: stored taints.
    """
    for row in rows:
        wrong = misjudged(db, Taint._from_son(row))
        if wrong:
            words = f"it says wrongly whether it reaches {', '.join(w[:10] for w in wrong[:3])}"
            hint = "`forcebase taint RECORD --reason REASON` once more: that is asked anew then."
            yield Finding(FindingKind.CONTRADICTION, "taints", row["_id"], words, hint)


def _record(row: dict[str, Any]) -> str:
    """A taint is called as the record it stands on."""
    return str(row.get("record", row["_id"]))
