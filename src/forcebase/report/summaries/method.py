"""A method in a few lines: a DFT set-up, or a model."""

from __future__ import annotations

from typing import Any

from forcebase.database.database import Database
from forcebase.records import ModelMethod
from forcebase.report.summaries.validation import errors, subject
from forcebase.report.summaries.words import listed, reference, settings


def summarise_method(db: Database, record: Any) -> list[tuple[str, str]]:
    """What it is, what it was made of, and how many records are labelled by it."""
    lines = _model(db, record) if isinstance(record, ModelMethod) else _dft(record)
    count = db.calculations.raw.count_documents({"method": record.id})
    phonons = db.phonons.raw.count_documents({"method": record.id})
    return [*lines, ("calculations", str(count)), ("phonons", str(phonons) if phonons else "")]


def _dft(record: Any) -> list[tuple[str, str]]:
    return [
        ("method", record.title),
        ("functional", f"{record.functional} {settings(dict(record.functional_parameters or {}))}"),
        ("basis", settings(dict(record.basis or {}))),
        ("potentials", settings(dict(record.pseudopotentials or {}))),
        ("smearing", settings(dict(record.smearing or {}))),
        ("spin", str(record.spin or "")),
        ("spin-orbit", "yes" if record.spin_orbit else ""),
        ("dispersion", "" if record.dispersion in (None, "none") else record.dispersion),
        ("Hubbard U", settings(dict(record.plus_u or {}))),
        ("corrections", settings(dict(record.corrections or {}))),
        ("other settings", settings(dict(record.settings or {}))),
    ]


def _model(db: Database, record: ModelMethod) -> list[tuple[str, str]]:
    chosen = dict(record.hyperparameters or {})
    compared = db.validations.find(model=record.id, sort="-created_at", limit=4)
    lines = [
        (
            "model",
            f"{record.kind}, {record.dtype}" + (f", head {record.head}" if record.head else ""),
        ),
        ("package", str(record.package or "")),
        ("elements", listed(record.elements, 20)),
        ("trained on", reference(db, record.dataset)),
        ("tuned from", reference(db, record.parent)),
        ("network", _network(chosen)),
        ("training", _training(chosen)),
        ("parameters", f"{record.n_parameters:,}" if record.n_parameters else ""),
        ("valid split", _last_errors(record)),
        ("training took", f"{record.wall_time:.0f} s" if record.wall_time else ""),
    ]
    return [*lines, *(_compared(db, found) for found in compared)]


def _compared(db: Database, found: Any) -> tuple[str, str]:
    return f"against {reference(db, found.reference)}", f"{errors(found)}, on {subject(db, found)}"


def _network(chosen: dict[str, Any]) -> str:
    named = ("num_channels", "max_L", "correlation", "num_interactions", "r_max")
    return settings({name: chosen[name] for name in named if name in chosen})


def _training(chosen: dict[str, Any]) -> str:
    named = ("epochs", "batch_size", "lr", "dtype", "threads", "device", "seed")
    return settings({name: chosen[name] for name in named if chosen.get(name) is not None})


def _last_errors(record: ModelMethod) -> str:
    if not record.learning_curve:
        return ""
    best = min(record.learning_curve, key=lambda epoch: epoch["loss"])
    energy, force = 1000 * best["energy_mae"], 1000 * best["force_mae"]
    return f"{energy:.2f} meV/atom, {force:.1f} meV/A (MAE after epoch {best['epoch'] + 1})"
