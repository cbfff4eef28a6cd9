"""Records of schemas up to 8 that a new import renews: the same labels, with all that was not kept.

The old record stays as it is, under its id, as do datasets and validations that hold it. The new
one names it, so that no dataset takes both and a taint on the old one reaches the new one.
"""

from __future__ import annotations

import numpy as np

from forcebase.database.database import Database
from forcebase.database.pieces import in_pieces
from forcebase.ingest.batch import Batch
from forcebase.records import Calculation
from forcebase.records.array_field import decode_array
from forcebase.records.calculation import RENEWS


def link_renewed(db: Database, batch: Batch) -> int:
    """Have calculations name those of old methods that have the same structure and labels.

    Returns:
        How many there are.
    """
    ours = [c for c in batch.calculations if c.method_class == "dft"]
    if not ours:
        return 0
    query = {"code": {"$exists": True}, "identity": None}
    old = [row["_id"] for row in db.methods.raw.find(query, {"_id": 1})]
    if not old:
        return 0
    by_structure: dict[str, list[Calculation]] = {}
    for calculation in ours:
        by_structure.setdefault(calculation.structure, []).append(calculation)
    asked = {"structure": {"$in": list(by_structure)}, "method": {"$in": old}}
    fields = {"structure": 1, "energy": 1, "forces": 1}
    n = 0
    for piece in in_pieces(asked):
        for row in db.calculations.raw.find(piece, fields):
            for calculation in by_structure[row["structure"]]:
                if row["energy"] == calculation.energy and np.array_equal(
                    decode_array(row["forces"]), calculation.forces
                ):
                    calculation.made_from(RENEWS, "calculations", row["_id"])
                    n += 1
    return n
