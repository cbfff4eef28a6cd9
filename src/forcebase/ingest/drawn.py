"""What a labelling flow says of the structure of a job, on the records of its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forcebase.ingest.batch import Batch
from forcebase.records import Structure

DRAWN = ("family", "kind", "recipe", "defect")


def with_drawn(batch: Batch, drawn: Mapping[str, Any]) -> Batch:
    """Give the structures of one run family and kind, and the first one its recipe and defect.

    Ids stay: they name geometries. What a run made of the structure keeps its own recipe.

    Args:
        batch: of one job.
        drawn: family, kind, recipe and defect, where a job made the structure; {} for others.
    """
    said = {name: drawn[name] for name in DRAWN if drawn.get(name)}
    if not said:
        return batch
    for place, structure in enumerate(batch.structures):
        own = {"recipe": dict(structure.recipe), "defect": None} if structure.recipe else {}
        batch.structures[place] = Structure.from_atoms(structure.to_atoms(), **{**said, **own})
    for calculation in batch.calculations:
        calculation.kind = said.get("kind", calculation.kind)
    return batch
