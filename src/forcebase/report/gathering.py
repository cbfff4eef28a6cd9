"""Filling a report from the database: every number by way of the records it comes from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from forcebase.comparison import join
from forcebase.database.database import Database
from forcebase.datasets import splits_of
from forcebase.lineage import made_by, title
from forcebase.records import Dataset, Method, ModelMethod, Phonon, Validation
from forcebase.records.dataset import DROPPED, SPLITS
from forcebase.report.content import (
    BandsData,
    DatasetFacts,
    DosData,
    ParityData,
    ProvenanceNode,
    ReportContent,
    Timing,
)
from forcebase.report.metrics import key_metrics
from forcebase.spectra import crystal_of, spectra_of


@dataclass(frozen=True)
class MainResult:
    """The records that the main job ends with."""

    dataset: Dataset
    reference: Method
    model: ModelMethod
    phonon: Phonon
    reference_phonon: Phonon
    labels: Validation
    phonons: Validation


def gather(db: Database, result: MainResult, targets: dict[str, float]) -> ReportContent:
    """Read all that the report shows."""
    timings = _timings(db, result)
    return ReportContent(
        title=f"{result.model.title} against {result.reference.title}",
        facts=_facts(result),
        dataset=_dataset_facts(db, result.dataset),
        parity=_parity(db, result),
        learning_curve=[dict(epoch) for epoch in result.model.learning_curve],
        **_phonon_data(db, result),
        metrics=key_metrics(db, result, timings, targets),
        timings=timings,
        steps=step_seconds(db, result),
        provenance=_provenance(db, result),
    )


def step_seconds(db: Database, result: MainResult) -> dict[str, float]:
    """Wall time of each step, as its activities recorded it; s."""
    test = _test_structures(db, result.dataset)
    predicted = db.calculations.raw.distinct(
        "provenance.activity", {"method": result.model.id, "structure": {"$in": test}}
    )
    imports = [a["_id"] for a in db.activities.raw.find({"kind": "import"}, {"_id": 1})]
    steps = {
        "import": imports,
        "dataset": [result.dataset.provenance.activity],
        "train": [result.model.provenance.activity],
        "predict": predicted,
        "phonon": [result.phonon.provenance.activity],
        "compare": [v.provenance.activity for v in (result.labels, result.phonons)],
    }
    return {step: _seconds(db, activities) for step, activities in steps.items()}


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
            f"{settings['correlation']}, cutoff {settings['r_max']:g} A, "
            f"{result.model.n_parameters:,} parameters, {result.model.dtype}",
        ),
        ("Training", f"{settings['epochs']} epochs, seed {result.model.seed}"),
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
        dropped=[(m.calculation, m.step, m.reason) for m in dropped],
    )


def _parity(db: Database, result: MainResult) -> ParityData:
    pairs = _test_pairs(db, result)
    n_atoms = pairs.reference.n_atoms
    return ParityData(
        energies_reference=pairs.reference.energies / n_atoms,
        energies_model=pairs.model.energies / n_atoms,
        kinds=pairs.reference.kinds,
        forces_reference=pairs.reference.forces,
        forces_model=pairs.model.forces,
        symbols=np.array([chemical_symbols[z] for z in pairs.reference.numbers]),
    )


def _test_pairs(db: Database, result: MainResult) -> Any:
    test = [c for c, split in splits_of(db, result.dataset).items() if split == "test"]
    return join(db, result.model, result.reference, {"_id": {"$in": test}})


def _test_structures(db: Database, dataset: Dataset) -> list[str]:
    rows = db.members.raw.find({"dataset": dataset.id, "split": "test"}, {"structure": 1})
    return [row["structure"] for row in rows]


def _phonon_data(db: Database, result: MainResult) -> dict[str, Any]:
    spectra = spectra_of(crystal_of(db, result.phonon), crystal_of(db, result.reference_phonon))
    return {
        "bands": BandsData(
            distances=spectra.path.distances,
            frequencies_reference=spectra.reference_bands.frequencies,
            frequencies_model=spectra.model_bands.frequencies,
            tick_positions=spectra.path.label_distances,
            tick_labels=spectra.path.labels,
        ),
        "dos": DosData(
            frequencies=spectra.reference_dos.frequencies,
            reference_total=spectra.reference_dos.total,
            reference_projected=dict(spectra.reference_dos.projected),
            model_total=spectra.model_dos.total,
            model_projected=dict(spectra.model_dos.projected),
        ),
    }


def _timings(db: Database, result: MainResult) -> list[Timing]:
    """Configurations that both sides have labelled, with both wall times."""
    test = {"structure": {"$in": _test_structures(db, result.dataset)}}
    reference = db.calculations.find({**test, "method": result.reference.id})
    model = {c.structure: c for c in db.calculations.find({**test, "method": result.model.id})}
    return [
        Timing(c.kind, c.n_atoms, c.wall_time, model[c.structure].wall_time)
        for c in sorted(reference, key=lambda c: (c.n_atoms, c.kind, c.id))
        if c.wall_time and c.structure in model and model[c.structure].wall_time
    ]


def _provenance(db: Database, result: MainResult) -> list[ProvenanceNode]:
    """The records behind all numbers, ends first, each once."""
    test = [c for c, split in splits_of(db, result.dataset).items() if split == "test"]
    predictions = db.calculations.find(
        {"method": result.model.id, "structure": {"$in": _test_structures(db, result.dataset)}}
    )
    waiting = [
        ("validations", result.labels.id),
        ("validations", result.phonons.id),
        *(("calculations", calculation.id) for calculation in predictions),
        *(("calculations", calculation) for calculation in test),
    ]
    found: dict[str, ProvenanceNode] = {}
    while waiting:
        collection, record_id = waiting.pop(0)
        if record_id in found:
            continue
        record = db.collection(collection).get(record_id)
        edges = [(edge.role, edge.collection, edge.record) for edge in record.provenance.edges]
        found[record_id] = ProvenanceNode(
            record=record_id,
            collection=collection,
            title=title(collection, record),
            made_by=made_by(db, record),
            parents=tuple((role, parent) for role, _, parent in edges),
        )
        waiting += [(place, parent) for _, place, parent in edges]
    return list(found.values())
