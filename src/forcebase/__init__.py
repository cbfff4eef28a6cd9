"""forcebase: any machine-learning force field against any DFT record.

import forcebase as fb

db = fb.connect()
db.calculations.find(method_class="dft", elements=["W", "Se"]).to_dataframe()
db.compare("wse2-mace", "gpaw-pbe", on="wse2-pbe@1:test").errors.forces.mae
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's would cost the command line a tenth of its start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from forcebase.api import Session
    from forcebase.comparison import Comparison
    from forcebase.database.database import Database
    from forcebase.settings import Settings

__all__ = ["compare", "connect"]


def connect(settings: Settings | None = None) -> Session:
    """Open the database that the settings (by default the environment's) name.

    `forcebase.api.Session` says what can be done with it. The embedded MongoDB is started where no
    other is named, and found where it runs already.
    """
    from forcebase.api import Session
    from forcebase.settings import Settings

    return Session(settings or Settings.from_environment())


def compare(
    model: str,
    reference: str,
    on: str | Mapping[str, Any] | None = None,
    db: Database | None = None,
    **options: Any,
) -> Comparison:
    """Compare a model (or any method, or a phonon) with a reference: the record and its floors.

    Args:
        model: id, name or tag.
        reference: id, name or tag.
        on: "dataset", "dataset:split", or keyword arguments of `db.calculations.find`.
        db: a connected database; by default one is opened for this call.
        **options: align, only, host, edges, allow, nac, recompute: see
            `forcebase.comparison.compare`.
    """
    from forcebase.comparison import compare as compare_records

    if db is not None:
        return compare_records(db, model, reference, on, **options)
    opened = connect()
    try:
        return compare_records(opened, model, reference, on, **options)
    finally:
        opened.close()
