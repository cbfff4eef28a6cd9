"""Datasets: are the members those that each was frozen with, and is each member of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from forcebase.database.database import Database
from forcebase.digest import merkle_root
from forcebase.integrity.batches import batches
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.integrity.seal_checks import check_seals
from forcebase.records import DatasetMember
from forcebase.records.dataset import DROPPED, SPLITS

RESTORE = "Restore the members from a backup, or curate the dataset again."
LEFT_MEMBERS = (
    "A killed process left them. The same `forcebase dataset build` again completes a dataset that "
    "it was to write; the next `forcebase forget`, as of the unfinished build, removes them."
)


def check_dataset(db: Database, dataset: dict[str, Any]) -> Iterator[Finding]:
    """Root and counts of one dataset; its members' calculations, and the structures of those.

    The leaves of all members are held at once: 120 bytes each.
    """
    leaves: list[str] = []
    counts = Counter(dict.fromkeys((*SPLITS, DROPPED), 0))
    for rows in batches(db.members.raw.find({"dataset": dataset["_id"]})):
        yield from check_seals(DatasetMember, rows)
        read = [row for row in rows if "calculation" in row and "split" in row]  # the schema's word
        for row in read:
            counts[row["split"]] += 1
            if row["split"] != DROPPED:
                leaves.append(DatasetMember.leaf(row["calculation"], row["split"]))
        yield from _check_members(db, read)
    title = f"{dataset.get('name')}@{dataset.get('version')}"
    root, frozen = merkle_root(leaves), str(dataset.get("members_root"))
    if root != frozen:
        words = f"the members of {title} are not those that it was frozen with"
        yield _changed(dataset, words, frozen, root)
    said = dataset.get("counts") or {}
    stored = {split: said.get(split, 0) for split in counts}
    if stored != counts:
        words = f"{title} counts other members than it has"
        yield _changed(dataset, words, _words(stored), _words(counts))


def _changed(dataset: dict[str, Any], message: str, expected: str, found: str) -> Finding:
    kind = FindingKind.MEMBERS_CHANGED
    return Finding(kind, "datasets", dataset["_id"], message, RESTORE, expected, found)


def _check_members(db: Database, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    wanted = [row["calculation"] for row in rows]
    structures = {
        found["_id"]: found["structure"]
        for found in db.calculations.by_ids(wanted, {"structure": 1})
    }
    for row in rows:
        calculation = row["calculation"]
        if calculation not in structures:
            yield Finding(
                FindingKind.BROKEN_EDGE,
                "dataset_members",
                row["_id"],
                f"its calculation {calculation[:10]} is not in this database",
                "Import or collect it again, or restore it from a backup.",
                f"calculations {calculation}",
            )
        elif row.get("structure") not in (None, structures[calculation]):
            yield Finding(
                FindingKind.CONTRADICTION,
                "dataset_members",
                row["_id"],
                "it names another structure than its calculation",
                RESTORE,
                structures[calculation],
                row["structure"],
            )


def check_orphan_members(db: Database) -> Iterator[Finding]:
    """Members of datasets that are not there, one finding for each such dataset."""
    places = [{"$group": {"_id": "$dataset", "n": {"$sum": 1}}}]
    for group in db.members.raw.aggregate(places, allowDiskUse=True):
        if db.datasets.raw.find_one({"_id": group["_id"]}, {"_id": 1}) is None:
            yield Finding(
                FindingKind.ORPHAN_MEMBER,
                "dataset_members",
                str(group["_id"]),
                f"{group['n']} members of a dataset that is not there",
                LEFT_MEMBERS,
            )


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
