"""The key numbers of the main job, each with its unit, target and sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forcebase.database.database import Database
from forcebase.records import Validation
from forcebase.report.content import Metric, ShellForces, Timing
from forcebase.report.main_result import MainResult, PhononResult

FURTHER = ("band_mae_THz", "band_rmse_THz", "band_max_THz")
"""What is told of the second phonon and those after it."""


def key_metrics(
    db: Database,
    result: MainResult,
    shells: Sequence[ShellForces],
    timings: Sequence[Timing],
    targets: dict[str, float],
) -> list[Metric]:
    """Read the numbers from the validations and records."""
    return [
        *(_label_metrics(result.labels, targets) if result.labels else []),
        *(_shell_metrics(result.labels, shells) if result.labels else []),
        *_phonon_metrics(result.phonons, targets),
        *_lattice_metrics(db, result, targets),
        *_time_metrics(timings, targets),
    ]


def _label_metrics(labels: Validation, targets: dict[str, float]) -> list[Metric]:
    overall: dict[str, Any] = dict(labels.metrics)["overall"]
    sources = (labels.id,)
    test = f"{labels.n} test cells"
    rows = [
        ("test_energy_mae_meV_per_atom", "Energy MAE", "energy", "mae", "meV/atom"),
        ("test_energy_rmse_meV_per_atom", "Energy RMSE", "energy", "rmse", "meV/atom"),
        ("test_force_mae_meV_per_A", "Force MAE", "forces", "mae", "meV/A"),
        ("test_force_rmse_meV_per_A", "Force RMSE", "forces", "rmse", "meV/A"),
        ("test_stress_mae_meV_per_A3", "Stress MAE", "stress", "mae", "meV/A^3"),
    ]
    found = [
        Metric(name, label, float(overall[part][key]), unit, targets.get(name), sources, 2, test)
        for name, label, part, key, unit in rows
    ]
    for element, errors in sorted(overall["forces_by_element"].items()):
        for key in ("mae", "rmse"):
            name = f"test_force_{key}_{element}_meV_per_A"
            label = f"Force {key.upper()}, {element}"
            found.append(Metric(name, label, float(errors[key]), "meV/A", None, sources, 2, test))
    return found


def _shell_metrics(labels: Validation, shells: Sequence[ShellForces]) -> list[Metric]:
    """Force errors from the defect outwards, and in cells without one."""
    found = []
    for shell in shells:
        key = "pristine" if shell.pristine else f"shell_{shell.number}"
        where = "" if shell.pristine else " from a defect"
        atoms, cells = (
            f"{n} {what}" + ("s" if n != 1 else "")
            for n, what in ((shell.n_atoms, "atom"), (shell.n_structures, "test cell"))
        )
        note = f"{atoms}{where}, {cells}"
        name, label = f"test_force_mae_{key}_meV_per_A", f"Force MAE, {shell.label}"
        sources = (labels.id,)
        found.append(Metric(name, label, shell.mae, "meV/A", None, sources, 2, note))
    return found


def _phonon_metrics(phonons: Sequence[PhononResult], targets: dict[str, float]) -> Iterator[Metric]:
    """All of the first phonon, the bands of the others, which are named by what they are of."""
    for number, result in enumerate(phonons):
        if result.comparison is None:
            continue
        for metric in _errors_of(result.comparison, targets):
            if number == 0:
                yield metric
            elif metric.name in FURTHER:
                name, _, unit = metric.name.rpartition("_")
                of = re.sub(r"\W+", "_", result.name)
                yield replace(
                    metric,
                    name=f"{name}_{of}_{unit}",
                    label=f"{metric.label}, {result.name}",
                    target=None,
                )


def _errors_of(comparison: Validation, targets: dict[str, float]) -> list[Metric]:
    metrics: dict[str, Any] = dict(comparison.metrics)
    sources = (comparison.id,)
    path = f"{comparison.n} q-points on {comparison.on['path']}"
    rows = [
        ("band_mae_THz", "Band MAE", "THz", 4),
        ("band_rmse_THz", "Band RMSE", "THz", 4),
        ("band_max_THz", "Largest band error", "THz", 4),
        ("band_mae_cm1", "Band MAE", "cm^-1", 2),
        ("band_rmse_cm1", "Band RMSE", "cm^-1", 2),
        ("dos_wasserstein_THz", "DOS distance (Wasserstein)", "THz", 4),
    ]
    return [
        Metric(name, label, float(metrics[name]), unit, targets.get(name), sources, digits, path)
        for name, label, unit, digits in rows
    ]


def _lattice_metrics(db: Database, result: MainResult, targets: dict[str, float]) -> list[Metric]:
    """Of the first phonon's cell, however far its relaxation went."""
    main = result.phonons[0] if result.phonons else None
    if main is None or main.phonon is None:
        return []
    model = db.structures.get(main.phonon.structure)
    reference = db.structures.get(main.reference.structure)
    a_model, a_reference = (float(s.to_atoms().cell.lengths()[0]) for s in (model, reference))
    relaxed = "relaxed" if main.phonon.relaxation.get("converged", True) else "not fully relaxed"
    note = f"{relaxed}, vacuum axis fixed" if any(reference.vacuum_axes) else relaxed
    error = abs(a_model - a_reference)
    both = (model.id, reference.id)
    theirs = f"Lattice constant, {result.reference.short_title}"
    return [
        Metric("lattice_constant_A", "Lattice constant", a_model, "A", None, both[:1], 4, note),
        Metric("reference_lattice_constant_A", theirs, a_reference, "A", None, both[1:], 4, note),
        Metric(
            "lattice_constant_error_A",
            "Lattice constant error",
            error,
            "A",
            targets.get("lattice_constant_error_A"),
            both,
            4,
            note,
        ),
    ]


def _time_metrics(timings: Sequence[Timing], targets: dict[str, float]) -> list[Metric]:
    if not timings:
        return []
    ratios = [timing.reference_seconds / timing.model_seconds for timing in timings]
    name = "dft_over_model_time"
    note = f"median of {len(ratios)} test cells, wall times of their records"
    sources = tuple(source for timing in timings for source in timing.sources)
    value = float(np.median(ratios))
    return [
        Metric(name, "DFT time over model time", value, "", targets.get(name), sources, 0, note)
    ]
