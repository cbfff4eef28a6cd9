"""Relaxations: is each end of one there once."""

from __future__ import annotations

from collections.abc import Iterator

from forcebase.database.database import Database
from forcebase.digest import content_digest
from forcebase.ingest.made_again import relaxation_apart
from forcebase.integrity.findings import Finding, FindingKind
from forcebase.records import Structure

CONVERGED = {"recipe.operation": "relax", "recipe.parameters.converged": True}
SHORT = 10


def check_relaxations(db: Database) -> Iterator[tuple[int, list[Finding]]]:
    """Find ends of one relaxation that are one within tolerance, and two records.

    A relaxation that is made again is found by its inputs, and its end compared with the first.
    Only where two processes collect at the same moment does neither find the other's.

    Yields:
        1, and the finding, of each relaxed structure.
    """
    first: dict[str, Structure] = {}
    for structure in db.structures.find(CONVERGED, sort="created_at"):
        recipe = structure.recipe
        inputs = {key: value for key, value in recipe["parameters"].items() if key != "steps"}
        same = first.setdefault(content_digest([recipe["parent"], inputs]), structure)
        doubled = same is not structure and relaxation_apart(db, same, structure, None) is None
        yield 1, [_doubled(same, structure)] if doubled else []


def _doubled(first: Structure, again: Structure) -> Finding:
    return Finding(
        FindingKind.RELAXED_TWICE,
        "structures",
        again.id,
        f"it is the end of the same relaxation as {first.id[:SHORT]}, collected at the same moment",
        f"`forcebase forget {again.id[:SHORT]}` takes it back, where nothing depends on it.",
        first.id,
        again.id,
    )
