"""The main job: from DFT records to a validated force field, each step found again when done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from forcebase.actions.datasets import build_dataset, structures_of
from forcebase.actions.phonons import compute_phonon
from forcebase.actions.predictions import predict
from forcebase.actions.training import train_model
from forcebase.comparison import Selection, compare_labels, compare_phonons
from forcebase.database.database import Database
from forcebase.errors import CalculationError, InputError, ModelError, NotFoundError
from forcebase.ingest.contents import Contents, contents
from forcebase.ingest.importing import import_paths
from forcebase.models.loading import MACE, require_package
from forcebase.models.training_settings import DEMO, FULL, TrainingSettings
from forcebase.paths import check_folder
from forcebase.progress import Progress
from forcebase.records import (
    Dataset,
    Method,
    ModelMethod,
    Phonon,
    Record,
    Structure,
    Validation,
)
from forcebase.report.content import Metric
from forcebase.report.gathering import gather
from forcebase.report.html import write_report
from forcebase.report.main_result import MainResult, PhononResult

DATA = Path(str(files("forcebase"))) / "data"
"""The DFT records that come with the package: all WSe2 by one method."""
WSE2 = ("wse2_gpaw", "wse2_gpaw_new", "wse2_gpaw_relaxed_vacancy", "wse2_gpaw_vacancy")

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

BAD_MODEL = (CalculationError, InputError, ModelError, NotFoundError)
"""What steps after the training raise where a model is so bad that they cannot be done."""

Say = Callable[[str], None]
Step = TypeVar("Step")


@dataclass(frozen=True)
class MainJob:
    """What the main job does.

    Attributes:
        name: of the dataset.
        model_name: of the model; its phonons are named after it.
        reference_name: of the DFT set-up.
        data: files and folders of DFT records; all of them are candidates of the dataset, and
            their phonons are what the model is compared with.
        settings: of the training.
        targets: metric name -> the largest value aimed for.
    """

    name: str = "wse2-pbe"
    model_name: str = "wse2-mace"
    reference_name: str = "gpaw-pbe"
    data: tuple[Path, ...] = tuple(DATA / folder for folder in WSE2)
    settings: TrainingSettings = DEMO
    targets: dict[str, float] = field(default_factory=lambda: DEMO_TARGETS)


DEMO_JOB = MainJob()
FULL_JOB = MainJob(model_name="wse2-mace-full", settings=FULL, targets=FULL_TARGETS)


@dataclass(frozen=True)
class MainAnswer:
    """What the main job leaves.

    Attributes:
        report: the page.
        metrics: all numbers.
        steps: seconds by step.
        missing: what could not be compared -> why.
        remarks: what to know of the model's phonons before they are trusted.
    """

    report: Path
    metrics: list[Metric]
    steps: dict[str, float]
    missing: dict[str, str]
    remarks: list[str]


def run_main_job(
    db: Database,
    job: MainJob,
    out: Path,
    say: Say = lambda sentence: None,
    progress: Progress | None = None,
) -> MainAnswer:
    """Run all steps and write the report.

    A model so bad that a comparison cannot be made is not an error: the report says which and why.

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
    _check(job, out)
    held = _import(db, job, progress)
    dataset = _dataset(db, job, held, say, progress)
    reference = db.methods.get(dataset.method)
    db.names.name(job.reference_name, "methods", reference.id)
    model = _model(db, job, dataset, say, progress)
    phonons = reference_phonons(db, reference, held.phonons)
    host = db.structures.get(phonons[0].structure) if phonons else None
    labels, why = _tried(lambda: _labels(db, dataset, model, host, say, progress))
    if why:
        say(f"Energies and forces could not be compared: {why}")
    results = [_phonon(db, model, phonon, say, progress) for phonon in phonons]
    _name_phonons(db, job, results)
    result = MainResult(
        dataset=dataset,
        reference=reference,
        model=model,
        model_name=job.model_name,
        labels=labels,
        labels_reason=why,
        phonons=tuple(results),
    )
    return _report(db, result, job, out)


def reference_phonons(db: Database, method: Method, ids: Sequence[str]) -> list[Phonon]:
    """Of these phonons, the method's: perfect crystals first, each kind from large to small."""
    found = db.phonons.find(id=list(ids), method=method.id)
    return sorted(found, key=lambda p: (bool(p.defect), -p.n_atoms_supercell, p.id))


def _check(job: MainJob, out: Path) -> None:
    """Before minutes of training, not after."""
    require_package(MACE)
    check_folder(out)
    for path in job.data:
        if not path.exists():
            raise InputError(
                f"The DFT records are not at {path}.",
                hint="They come with the package: install it again.",
            )


def _import(db: Database, job: MainJob, progress: Progress | None) -> Contents:
    """Import the data; the answer names their records and no others that the database may hold."""
    listener = (lambda _, n, total: progress("import", n, total, {})) if progress else None
    report = import_paths(db, job.data, listener)
    if report.failed:
        name, reason = report.failed[0]
        raise CalculationError(f"{name} could not be imported: {reason}")
    return contents(job.data)


def _dataset(
    db: Database, job: MainJob, held: Contents, say: Say, progress: Progress | None
) -> Dataset:
    """The version that holds these records, whatever other versions there are."""
    dataset = build_dataset(db, job.name, {"id": list(held.calculations)}, progress=progress)
    counts = ", ".join(f"{n} {split}" for split, n in dataset.counts.items())
    say(f"Dataset {dataset.title}: {counts}.")
    return dataset


def _model(
    db: Database, job: MainJob, dataset: Dataset, say: Say, progress: Progress | None
) -> ModelMethod:
    def start(chosen: TrainingSettings) -> None:
        say(f"Training: {chosen.summary()}.")

    model = train_model(db, dataset, job.settings, progress=progress, on_start=start)
    db.names.name(job.model_name, "methods", model.id)
    say(f"Model {job.model_name} is {model.title}, trained in {model.wall_time:.0f} s.")
    return model


def _labels(
    db: Database,
    dataset: Dataset,
    model: ModelMethod,
    host: Structure | None,
    say: Say,
    progress: Progress | None,
) -> Validation:
    test = structures_of(db, dataset, "test")
    n_new = predict(db, model, test, progress=progress)
    say(f"Labelled {len(test)} test cells, {n_new} of them now.")
    reference, selection = db.methods.get(dataset.method), Selection(dataset=dataset, split="test")
    return compare_labels(db, model, reference, selection, host=host)


def _phonon(
    db: Database,
    model: ModelMethod,
    reference: Phonon,
    say: Say,
    progress: Progress | None,
) -> PhononResult:
    """The model's phonon and its comparison, as far as they can be had."""
    start = db.structures.get(reference.structure)
    name = _name_of(reference, start)
    phonon, reason = _tried(
        lambda: compute_phonon(db, model, start, reference.supercell_matrix, progress=progress)
    )
    comparison = None
    if phonon is not None:
        comparison, reason = _tried(lambda: compare_phonons(db, phonon, reference))
    if reason:
        say(f"Phonons, {name}, could not be compared: {reason}")
    else:
        say(f"Phonons, {name}: in the supercell of DFT's {reference.id[:10]}.")
    return PhononResult(reference, name, phonon, comparison, reason)


def _name_of(phonon: Phonon, structure: Structure) -> str:
    """As "WSe2 in 3x3x1" or "v_Se in 2x2x1"."""
    defect = dict(phonon.defect or {})
    matrix = defect.get("supercell_matrix") or phonon.supercell_matrix
    size = "x".join(str(row[i]) for i, row in enumerate(matrix))
    return f"{defect.get('name') or structure.reduced_formula} in {size}"


def _name_phonons(db: Database, job: MainJob, results: Sequence[PhononResult]) -> None:
    """The first is MODEL-phonon, others carry what they are of; an older bearer loses the name."""
    for number, result in enumerate(results):
        end = f"-{result.name.replace(' in ', '-')}" if number else ""
        name = f"{job.model_name}-phonon{end}"
        if result.phonon is None:
            db.names.unname(name)
        else:
            db.names.name(name, "phonons", result.phonon.id)


def _tried(step: Callable[[], Step]) -> tuple[Step | None, str]:
    """What a step gives, or why a bad model does not allow it."""
    try:
        return step(), ""
    except BAD_MODEL as error:
        return None, error.message


def _report(db: Database, result: MainResult, job: MainJob, out: Path) -> MainAnswer:
    content = gather(db, result, job.targets)
    path = write_report(content, out)
    metrics: dict[str, Any] = {metric.name: metric.value for metric in content.metrics}
    metrics |= {
        "title": content.title,
        "seconds": content.steps,
        "targets": job.targets,
        "records": _records(result),
        "sources": {metric.name: list(metric.sources) for metric in content.metrics},
        "missing": result.missing,
        "remarks": content.remarks,
        "leakage": dict(result.labels.leakage) if result.labels else {},
        "settings": dict(result.model.hyperparameters),
    }
    try:
        part = out / ".metrics.json.part"
        part.write_text(json.dumps(metrics, indent=2) + "\n")
        part.replace(out / "metrics.json")
    except OSError as error:
        raise InputError(
            f"metrics.json cannot be written to {out}: {error.strerror}.", hint="Make room."
        ) from None
    return MainAnswer(path, content.metrics, content.steps, content.missing, content.remarks)


def _records(result: MainResult) -> dict[str, Any]:
    """Ids of what the report rests on; of the phonons, the perfect crystal's first."""
    main = result.phonons[0] if result.phonons else None
    found: dict[str, Record | None] = {
        "dataset": result.dataset,
        "reference": result.reference,
        "model": result.model,
        "labels": result.labels,
        "phonon": main.phonon if main else None,
        "reference_phonon": main.reference if main else None,
        "phonons": main.comparison if main else None,
    }
    named = {name: record.id for name, record in found.items() if record is not None}
    others = [phonon.comparison.id for phonon in result.phonons[1:] if phonon.comparison]
    return {**named, "further_phonons": others} if others else named
