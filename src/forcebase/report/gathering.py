"""Filling a report from the database: every number by way of the records it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from forcebase.comparison import Pairs, join
from forcebase.database.compared import sides
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.datasets import energy_taken, splits_of
from forcebase.models.training_settings import summary
from forcebase.physics.material import form_of
from forcebase.physics.shell_errors import PRISTINE
from forcebase.physics.spectra import spectra_of
from forcebase.physics.vibrations import IMAGINARY
from forcebase.records import Dataset, Validation
from forcebase.records.dataset import DROPPED, SPLITS
from forcebase.report.content import (
    BandsData,
    DatasetFacts,
    DosData,
    Names,
    ParityData,
    PhononFigures,
    ReportContent,
    ShellForces,
    Timing,
)
from forcebase.report.main_result import MainResult, PhononResult
from forcebase.report.metrics import key_metrics
from forcebase.report.provenance import provenance_of


def gather(db: Database, result: MainResult, targets: dict[str, float]) -> ReportContent:
    """Read all that the report shows."""
    pairs = _test_pairs(db, result) if result.labels else None
    shells = shell_forces(result.labels) if result.labels else []
    timings = _timings(db, pairs) if pairs else []
    activities = _step_activities(db, result)
    phonons = [
        _phonon_figures(db, number, found)
        for number, found in enumerate(result.phonons, 1)
        if found.comparison
    ]
    return ReportContent(
        title=_title(db, result),
        names=_names(result),
        missing=result.missing,
        remarks=[*result.remarks, *_imaginary(phonons), *_splittings(result)],
        facts=_facts(result),
        dataset=_dataset_facts(db, result.dataset),
        parity=parity_of(pairs) if pairs else None,
        shells=shells,
        learning_curve=[dict(epoch) for epoch in result.model.learning_curve],
        phonons=phonons,
        metrics=key_metrics(db, result, shells, timings, targets),
        timings=timings,
        steps={step: _seconds(db, made) for step, made in activities.items()},
        step_activities=activities,
        figure_sources=_figure_sources(result, phonons, timings),
        provenance=provenance_of(db, result),
    )


def _title(db: Database, result: MainResult) -> str:
    """As "WSe2 monolayer: MACE wse2-mace against GPAW PBE"."""
    material = _material(db, result)
    subject = f"{material}: " if material else ""
    name = f"{result.model.short_title} {result.model_name}"
    return f"{subject}{name} against {result.reference.short_title}"


def _material(db: Database, result: MainResult) -> str:
    """The perfect crystal of the first phonon; without one, the formula that most members have."""
    for found in result.phonons[:1]:
        crystal = db.structures.get(found.reference.structure)
        return f"{crystal.reduced_formula} {form_of(crystal.to_atoms())}"
    members = db.members.raw.distinct("structure", {"dataset": result.dataset.id})
    rows = db.structures.by_ids(members, {"reduced_formula": 1})
    counts = Counter(row["reduced_formula"] for row in rows)
    return counts.most_common(1)[0][0] if counts else ""


def _names(result: MainResult) -> Names:
    return Names(reference=result.reference.short_title, model=result.model.short_title)


def _step_activities(db: Database, result: MainResult) -> dict[str, list[str]]:
    """Activities of each step; of the imports, those that gave the dataset and the phonons."""

    def made(calculations: Iterable[str]) -> list[str]:
        query = {"_id": {"$in": list(calculations)}}
        return db.calculations.raw.distinct("provenance.activity", query)

    phonons = [found.reference.provenance.activity for found in result.phonons]
    labelled = [*made(splits_of(db, result.dataset)), *phonons]
    compared = [result.labels, *(found.comparison for found in result.phonons)]
    imported = {"_id": {"$in": labelled}, "kind": "import"}
    return {
        "import": sorted(db.activities.raw.distinct("_id", imported)),
        "dataset": [result.dataset.provenance.activity],
        "train": [result.model.provenance.activity],
        "predict": sorted(made(sides(db, result.labels.to_mongo())[0])) if result.labels else [],
        "phonon": [found.phonon.provenance.activity for found in result.phonons if found.phonon],
        "compare": [validation.provenance.activity for validation in compared if validation],
    }


def _figure_sources(
    result: MainResult, phonons: list[PhononFigures], timings: list[Timing]
) -> dict[str, list[str]]:
    labels = [result.labels.id] if result.labels else []
    drawn = {f"{what}{p.key}": p.sources for p in phonons for what in ("bands", "pdos")}
    return {
        **drawn,
        "parity_energy": labels,
        "parity_forces": labels,
        "force_shells": labels,
        "learning_curve": [result.model.id],
        "timing": [source for timing in timings for source in timing.sources],
    }


def _seconds(db: Database, activities: list[str]) -> float:
    found = db.activities.raw.find({"_id": {"$in": activities}}, {"wall_time": 1})
    return float(sum(activity.get("wall_time") or 0.0 for activity in found))


def _facts(result: MainResult) -> list[tuple[str, str]]:
    settings = dict(result.model.hyperparameters)
    versions = dict(result.model.package_versions)
    return [
        ("Reference", f"{result.reference.title} ({result.reference.id[:10]})"),
        ("Model", f"{result.model.title}, weights {result.model.weights[:10]}"),
        (
            "Architecture",
            f"{settings['num_channels']} channels, max L {settings['max_L']}, correlation "
            f"{settings['correlation']}, cutoff {settings['r_max']:g} Å, "
            f"{result.model.n_parameters:,} parameters, applied in {result.model.dtype}",
        ),
        ("Training", f"{summary(settings)}, seed {settings['seed']}"),
        ("E0s", ", ".join(f"{s} {e:.4f} eV" for s, e in result.model.e0s.items())),
        ("Packages", ", ".join(f"{name} {number}" for name, number in versions.items())),
    ]


def _dataset_facts(db: Database, dataset: Dataset) -> DatasetFacts:
    splits = splits_of(db, dataset)
    kinds: dict[str, Counter[str]] = {}
    for found in db.calculations.raw.find({"_id": {"$in": list(splits)}}, {"kind": 1}):
        kinds.setdefault(found.get("kind") or "other", Counter())[splits[found["_id"]]] += 1
    dropped = db.members.iterate(dataset=dataset.id, split=DROPPED, sort="calculation")
    return DatasetFacts(
        title=dataset.title,
        id=dataset.id,
        counts={split: int(dataset.counts[split]) for split in (*SPLITS, DROPPED)},
        kinds={kind: dict(counts) for kind, counts in sorted(kinds.items())},
        dropped=sorted(
            ((m.calculation, m.step, m.reason) for m in dropped), key=lambda row: row[1:]
        ),
    )


def parity_of(pairs: Pairs) -> ParityData:
    """Labels of both sides as they are drawn."""
    n_atoms = pairs.reference.n_atoms
    return ParityData(
        energies_reference=pairs.reference.energies / n_atoms,
        energies_model=pairs.model.energies / n_atoms,
        kinds=pairs.reference.kinds,
        forces_reference=pairs.reference.forces,
        forces_model=pairs.model.forces,
        symbols=np.array([chemical_symbols[z] for z in pairs.reference.numbers]),
    )


def shell_forces(labels: Validation) -> list[ShellForces]:
    """Read the errors by distance from the defect; none where no cell of them has one."""
    metrics: dict[str, Any] = dict(labels.metrics)
    rows = enumerate(metrics.get("forces_by_shell", []), 1)
    found = [(number, row) for number, row in rows if row["n_atoms"]]
    if all(row["shell"] == PRISTINE for _, row in found):
        return []
    return [
        ShellForces(
            label=row["shell"],
            number=None if row["shell"] == PRISTINE else number,
            n_structures=row["n_structures"],
            n_atoms=row["n_atoms"],
            mean_force=row["mean_force"],
            mae=row["forces"]["mae"],
            rmse=row["forces"]["rmse"],
            mae_by_element={s: errors["mae"] for s, errors in row["by_element"].items()},
        )
        for number, row in found
    ]


def _test_pairs(db: Database, result: MainResult) -> Pairs:
    test = [c for c, split in splits_of(db, result.dataset).items() if split == "test"]
    return join(db, result.model, result.reference, {"_id": {"$in": test}}).read(
        db, energy_taken(result.dataset)
    )


def _phonon_figures(db: Database, number: int, found: PhononResult) -> PhononFigures:
    assert found.phonon is not None
    assert found.comparison is not None
    spectra = spectra_of(crystal_of(db, found.phonon), crystal_of(db, found.reference))
    return PhononFigures(
        key=f"_{number}" if number > 1 else "",
        name=found.name,
        sources=[found.comparison.id, found.phonon.id, found.reference.id],
        bands=BandsData(
            distances=spectra.path.distances,
            frequencies_reference=spectra.reference_bands.frequencies,
            frequencies_model=spectra.model_bands.frequencies,
            ticks=spectra.path.ticks,
            segments=spectra.path.segments,
        ),
        dos=DosData(
            frequencies=spectra.reference_dos.frequencies,
            reference_total=spectra.reference_dos.total,
            reference_projected=dict(spectra.reference_dos.projected),
            model_total=spectra.model_dos.total,
            model_projected=dict(spectra.model_dos.projected),
        ),
    )


def _timings(db: Database, pairs: Pairs) -> list[Timing]:
    """Configurations whose wall time both sides have recorded, small ones first."""
    ids = [*pairs.reference.ids.tolist(), *pairs.model.ids.tolist()]
    rows = db.calculations.raw.find({"_id": {"$in": ids}}, {"wall_time": 1})
    seconds = {row["_id"]: float(row.get("wall_time") or 0.0) for row in rows}
    columns = (
        pairs.reference.kinds.tolist(),
        pairs.reference.n_atoms.tolist(),
        pairs.reference.ids.tolist(),
        pairs.model.ids.tolist(),
    )
    timings = [
        Timing(kind, n_atoms, seconds[reference], seconds[model], (reference, model))
        for kind, n_atoms, reference, model in zip(*columns, strict=True)
        if seconds[reference] and seconds[model]
    ]
    return sorted(timings, key=lambda timing: (timing.n_atoms, timing.kind, timing.sources))


def _splittings(result: MainResult) -> Iterator[str]:
    """Whose Born charges are in the phonons that are compared."""
    for found in result.phonons:
        words = found.comparison.on.get("nac_words") if found.comparison else None
        if words:
            yield f"Phonons, {found.name}: {words}"


def _imaginary(phonons: list[PhononFigures]) -> Iterator[str]:
    """What the path shows and the waves that fit into the supercell, few in a small one, do not."""
    for pair in phonons:
        lowest = pair.bands.frequencies_model.min()
        if lowest < IMAGINARY <= pair.bands.frequencies_reference.min():
            yield (
                f"Phonons, {pair.name}: on the path, modes of the model are imaginary, the worst "
                f"{-lowest:.3f}i THz, where those of the reference are real"
            )
