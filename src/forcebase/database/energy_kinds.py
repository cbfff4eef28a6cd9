"""Which kind of energy calculations are read with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.physics.energy_kinds import EnergyKind

NOT_RECORDED = "not recorded"


def kind_counts(db: Database, ids: Sequence[str], taken: EnergyKind) -> dict[str, int]:
    """How many calculations are read with an energy of which kind.

    Args:
        db: the database.
        ids: of calculations.
        taken: the kind that is asked for, as of `read_frames`: where a record has both.

    Returns:
        Kind, or `NOT_RECORDED`, -> how many.
    """
    counts: Counter[str] = Counter()
    has_both = {"$and": [{"$gt": ["$free_energy", None]}, taken is EnergyKind.FREE]}
    kind = {"$cond": [has_both, EnergyKind.FREE, {"$ifNull": ["$energy_kind", NOT_RECORDED]}]}
    for piece in in_pieces({"_id": {"$in": list(ids)}}):
        stages = [{"$match": piece}, {"$group": {"_id": kind, "n": {"$sum": 1}}}]
        for row in db.calculations.raw.aggregate(stages):
            counts[str(row["_id"])] += int(row["n"])
    return dict(sorted(counts.items()))


def one_kind(counts: dict[str, int]) -> EnergyKind | None:
    """The kind of all; None where it is not recorded, or not one."""
    (kind,) = counts if len(counts) == 1 else (NOT_RECORDED,)
    return None if kind == NOT_RECORDED else EnergyKind(kind)


def counted(counts: dict[str, int]) -> str:
    """As "40 free, 3 not recorded"."""
    return ", ".join(f"{n} {kind}" for kind, n in counts.items())
