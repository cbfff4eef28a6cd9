"""A comparison in a few lines."""

from __future__ import annotations

from forcebase.database.called import called
from forcebase.database.database import Database
from forcebase.records import Validation
from forcebase.report.summaries.words import reference

COUNTS = {
    "n_in_training": "trained on",
    "n_same_family": "of a family trained on",
    "n_new": "new to the model",
    "n_unknown": "not known",
}


def errors(record: Validation) -> str:
    """The mean absolute errors, as "1.03 meV/atom, 43.7 meV/A"."""
    told = [
        f"{value:.{digits}f} {unit}"
        for value, digits, unit in (
            (record.energy_mae, 2, "meV/atom"),
            (record.forces_mae, 1, "meV/A"),
            (record.bands_mae, 3, "THz"),
        )
        if value is not None
    ]
    return ", ".join(told)


def subject(db: Database, record: Validation) -> str:
    """On what it was made: a dataset and split, a query, or a phonon by what it is called."""
    found = record.subject
    return called(db, [found])[found] if record.kind == "phonons" else found or "all that both have"


def summarise_validation(db: Database, record: Validation) -> list[tuple[str, str]]:
    """Which model, compared with what, on what, and with which errors."""
    metrics = dict(record.metrics or {})
    lines = [
        ("model", reference(db, record.model)),
        ("reference", reference(db, record.reference)),
        ("on", subject(db, record)),
        ("path, mesh", _q_points(record)),
        ("n", f"{record.n} {'q-points' if record.kind == 'phonons' else 'structures'}"),
    ]
    for name, found in metrics.get("overall", {}).items():
        if isinstance(found, dict) and "mae" in found:
            unit = found.get("unit", "")
            told = (
                f"MAE {found['mae']:.4g}, RMSE {found['rmse']:.4g}, max {found['max']:.4g} {unit}"
            )
            lines.append((name.replace("_", " "), told))
    if "band_mae_THz" in metrics:
        mae, rmse, worst = (metrics[f"band_{name}_THz"] for name in ("mae", "rmse", "max"))
        lines.append(("bands", f"MAE {mae:.4f}, RMSE {rmse:.4f}, max {worst:.4f} THz"))
        lines.append(("DOS", f"{metrics['dos_wasserstein_THz']:.4f} THz (Wasserstein distance)"))
    seen = {COUNTS[name]: n for name, n in (record.leakage or {}).items() if name in COUNTS and n}
    return [*lines, ("structures", ", ".join(f"{n} {what}" for what, n in seen.items()))]


def _q_points(record: Validation) -> str:
    path, mesh = record.on.get("path", ""), record.on.get("mesh", ())
    return ", ".join(part for part in (path, "x".join(map(str, mesh))) if part)
