"""A dataset in a few lines."""

from __future__ import annotations

from forcebase.database.database import Database
from forcebase.records import Dataset
from forcebase.report.summaries.words import listed, reference


def summarise_dataset(db: Database, record: Dataset) -> list[tuple[str, str]]:
    """Members, method, reference energies, what was dropped and why, models trained on it."""
    dropped = [f"{s['name']} {s['n_dropped']}" for s in record.steps if s.get("n_dropped")]
    models = [row["_id"] for row in db.methods.raw.find({"dataset": record.id}, {"_id": 1})]
    e0s = ", ".join(f"{symbol} {energy:.4f}" for symbol, energy in record.e0s.items())
    return [
        ("dataset", record.title),
        ("members", ", ".join(f"{split} {n}" for split, n in record.counts.items())),
        ("method", reference(db, record.method)),
        ("energies", str(record.energy_kind or "")),
        ("E0s", f"{e0s} eV, {record.e0s_source}"),
        ("dropped by", listed(dropped)),
        ("version before", reference(db, record.parent)),
        ("license", record.license),
        ("findings", "; ".join(record.findings or ())),
        ("models", listed(reference(db, model) for model in models)),
    ]
