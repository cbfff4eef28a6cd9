"""The lineage of a report: every record that a number comes from, and its ancestors."""

from __future__ import annotations

from dataclasses import replace

from forcebase.database.compared import sides
from forcebase.database.database import Database
from forcebase.provenance import made_by, parents
from forcebase.provenance.taint import stale_among
from forcebase.report.content import ProvenanceNode
from forcebase.report.main_result import MainResult


def provenance_of(db: Database, result: MainResult) -> list[ProvenanceNode]:
    """The records behind all numbers, ends first, each once.

    A comparison of labels names its methods and dataset; the calculations that it keeps as its
    inputs are added here, so that the chain has no gap.
    """
    found_sides = sides(db, result.labels.to_mongo()) if result.labels else ([], [])
    compared = [
        (role, "calculations", record)
        for role, side in zip(("prediction", "label"), found_sides, strict=True)
        for record in side
    ]
    waiting = _ends(result)
    found: dict[str, ProvenanceNode] = {}
    while waiting:
        collection, record_id = waiting.pop(0)
        if record_id in found:
            continue
        record = db.collection(collection).one(id=record_id)
        if record is None:  # a structure's parent may have been left where the structure was made
            words = "not in this database"
            found[record_id] = ProvenanceNode(record_id, collection, words, "", ())
            continue
        edges = list(parents(db, collection, record))
        if result.labels and record_id == result.labels.id:
            edges += compared
        found[record_id] = ProvenanceNode(
            record=record_id,
            collection=collection,
            title=str(record.title),
            made_by=made_by(db, record),
            parents=tuple((role, parent) for role, _, parent in edges),
        )
        waiting += [(place, parent) for _, place, parent in edges]
    return [_marked(db, node) for node in found.values()]


def _ends(result: MainResult) -> list[tuple[str, str]]:
    """(collection, id) where the chain begins: comparisons, and what could not be compared."""
    found = [("validations", result.labels.id)] if result.labels else []
    for phonon in result.phonons:
        if phonon.comparison:
            found.append(("validations", phonon.comparison.id))
            continue
        found += [("phonons", p.id) for p in (phonon.phonon, phonon.reference) if p]
    return [*found, ("methods", result.model.id), ("methods", result.reference.id)]


def _marked(db: Database, node: ProvenanceNode) -> ProvenanceNode:
    """What is stale says so, with the reason."""
    reason = stale_among(db, node.collection, [node.record]).get(node.record)
    return replace(node, title=f"{node.title}, STALE: {reason}") if reason else node
