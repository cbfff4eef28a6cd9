"""The main job: from DFT records to a validated force field, each step found again when done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forcebase import actions
from forcebase.comparison import Selection, compare_labels, compare_phonons
from forcebase.database.database import Database
from forcebase.errors import CalculationError, InputError
from forcebase.ingest.importing import import_paths
from forcebase.models.loading import MACE, require_package
from forcebase.models.training_settings import DEMO, FULL, TrainingSettings
from forcebase.progress import Progress
from forcebase.records import Dataset
from forcebase.report.content import Metric
from forcebase.report.gathering import gather
from forcebase.report.html import write_report
from forcebase.report.main_result import MainResult

DATA = Path(__file__).parents[2] / "data"
FIRST_DATA = DATA / "wse2_gpaw"
FURTHER_DATA = DATA / "wse2_gpaw_new"

DEMO_TARGETS = {
    "test_energy_mae_meV_per_atom": 1.5,
    "test_force_mae_meV_per_A": 20.0,
    "band_mae_THz": 0.05,
}
FULL_TARGETS = {
    "test_energy_mae_meV_per_atom": 1.0,
    "test_force_mae_meV_per_A": 10.0,
    "band_mae_THz": 0.02,
}


@dataclass(frozen=True)
class MainJob:
    """What the main job does.

    Attributes:
        name: of the dataset.
        model_name: of the model; its phonon is named after it.
        data: folders of DFT records; each makes a version of the dataset.
        settings: of the training.
        targets: metric name -> the largest value aimed for.
    """

    name: str = "wse2-pbe"
    model_name: str = "wse2-mace"
    data: tuple[Path, ...] = (FIRST_DATA,)
    settings: TrainingSettings = DEMO
    targets: dict[str, float] = field(default_factory=lambda: DEMO_TARGETS)


DEMO_JOB = MainJob()
FULL_JOB = MainJob(
    model_name="wse2-mace-full",
    data=(FIRST_DATA, FURTHER_DATA),
    settings=FULL,
    targets=FULL_TARGETS,
)


@dataclass(frozen=True)
class MainAnswer:
    """What the main job leaves."""

    report: Path
    metrics: list[Metric]
    steps: dict[str, float]


def run_main_job(
    db: Database,
    job: MainJob,
    out: Path,
    say: Callable[[str], None] = lambda sentence: None,
    progress: Progress | None = None,
) -> MainAnswer:
    """Run all steps and write the report.

    Args:
        db: the database, where all results go.
        job: what to do.
        out: folder for report.html, the PNGs and metrics.json.
        say: told, in a sentence, what each step found.
        progress: told of the stages inside the steps.

    Raises:
        ForcebaseError: a step failed; what was finished before is kept, and the next run goes
            on from there.
    """
    _check_folder(out)
    require_package(MACE)
    dataset = _dataset(db, job, say, progress)
    reference = db.methods.get(dataset.method)
    db.labels.name("gpaw-pbe", "methods", reference.id)
    model = actions.train_model(db, dataset, job.settings, progress=progress)
    db.labels.name(job.model_name, "methods", model.id)
    say(f"Model {job.model_name} is {model.title}, trained in {model.wall_time:.0f} s.")
    test = actions.structures_of(db, dataset, "test")
    n_new = actions.predict(db, model, test, progress=progress)
    say(f"Labelled {len(test)} test cells, {n_new} of them now.")
    reference_phonon = actions.reference_phonon(db, reference)
    unit_cell = db.structures.get(reference_phonon.structure)
    phonon = actions.compute_phonon(
        db, model, unit_cell, reference_phonon.supercell_matrix, progress=progress
    )
    db.labels.name(f"{job.model_name}-phonon", "phonons", phonon.id)
    say(f"Phonon {phonon.id[:10]}, in the supercell of DFT's {reference_phonon.id[:10]}.")
    result = MainResult(
        dataset=dataset,
        reference=reference,
        model=model,
        phonon=phonon,
        reference_phonon=reference_phonon,
        labels=compare_labels(
            db, model, reference, Selection(dataset=dataset, split="test"), host=unit_cell
        ),
        phonons=compare_phonons(db, phonon, reference_phonon),
    )
    return _report(db, result, job, out)


def _check_folder(out: Path) -> None:
    """Before minutes of training, not after."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(
            f"{out} cannot be written to: {error.strerror}.", hint="Choose another --out."
        ) from None


def _dataset(
    db: Database,
    job: MainJob,
    say: Callable[[str], None],
    progress: Progress | None,
) -> Dataset:
    """Import folder after folder; each makes a version, so that splits hold across them."""
    dataset = None
    imports: list[str] = []
    for folder in job.data:
        if not folder.is_dir():
            raise InputError(
                f"The DFT records are not at {folder}.",
                hint="Run from a clone of the project, installed in place (pip install -e .).",
            )
        listener = (lambda _, n, total: progress("import", n, total, {})) if progress else None
        report = import_paths(db, [folder], listener)
        if report.failed:
            path, reason = report.failed[0]
            raise CalculationError(f"{path} could not be imported: {reason}")
        imports += report.activities
        dataset = actions.build_dataset(
            db, job.name, {"id": _calculations_of(db, imports)}, progress=progress
        )
        counts = ", ".join(f"{n} {split}" for split, n in dataset.counts.items())
        say(f"Dataset {dataset.title}: {counts}.")
    assert dataset is not None
    return dataset


def _calculations_of(db: Database, imports: list[str]) -> list[str]:
    """Calculations of these imports, and no others that the database may hold."""
    found = db.calculations.raw.find({"provenance.activity": {"$in": imports}}, {"_id": 1})
    return sorted(calculation["_id"] for calculation in found)


def _report(db: Database, result: MainResult, job: MainJob, out: Path) -> MainAnswer:
    content = gather(db, result, job.targets)
    path = write_report(content, out)
    metrics: dict[str, Any] = {metric.name: metric.value for metric in content.metrics}
    records = {
        name: getattr(result, name).id
        for name in ("dataset", "reference", "model", "phonon", "reference_phonon")
    }
    metrics |= {
        "seconds": content.steps,
        "targets": job.targets,
        "records": {**records, "labels": result.labels.id, "phonons": result.phonons.id},
        "sources": {metric.name: list(metric.sources) for metric in content.metrics},
        "leakage": dict(result.labels.leakage),
        "settings": asdict(job.settings),
    }
    try:
        part = out / ".metrics.json.part"
        part.write_text(json.dumps(metrics, indent=2) + "\n")
        part.replace(out / "metrics.json")
    except OSError as error:
        raise InputError(
            f"metrics.json cannot be written to {out}: {error.strerror}.", hint="Make room."
        ) from None
    return MainAnswer(report=path, metrics=content.metrics, steps=content.steps)
