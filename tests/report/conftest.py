"""Content of a report from real DFT data, and from a crystal stiffer than DFT's by a tenth."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from ase.io import read
from small_phonons import from_phonopy_yaml

from forcebase.physics.harmonic_crystal import symmetrize
from forcebase.physics.spectra import spectra_of
from forcebase.report.content import (
    BandsData,
    DatasetFacts,
    DosData,
    Metric,
    Names,
    ParityData,
    PhononFigures,
    ProvenanceNode,
    ReportContent,
    ShellForces,
    Timing,
)

LEARNING_RATE = 0.9
"""Of one epoch's errors to the epoch's before."""


def record_id(name: str) -> str:
    """An id such as records have."""
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture(scope="session")
def cells(data_folder):
    return read(data_folder / "wse2_gpaw_pbe.extxyz", ":")[::6]


@pytest.fixture(scope="session")
def parity(cells):
    energies = np.array([atoms.info["REF_energy"] / len(atoms) for atoms in cells])
    forces = np.concatenate([atoms.arrays["REF_forces"] for atoms in cells])
    return ParityData(
        energies_reference=energies,
        energies_model=energies + 0.002 * np.sin(np.arange(len(energies))),
        kinds=np.array([atoms.info["kind"] for atoms in cells]),
        forces_reference=forces,
        forces_model=1.03 * forces,
        symbols=np.concatenate([atoms.get_chemical_symbols() for atoms in cells]),
    )


@pytest.fixture(scope="session")
def shells():
    """One shell of one element only, as around a vacancy."""
    return [
        ShellForces("≤ 3 Å", 1, 1, 3, 1790.9, 29.04, 38.66, {"W": 29.04}),
        ShellForces("3–6 Å", 2, 1, 8, 1295.2, 27.93, 40.02, {"Se": 24.42, "W": 37.11}),
        ShellForces("pristine", None, 11, 66, 1897.6, 17.49, 25.87, {"Se": 15.61, "W": 21.26}),
    ]


@pytest.fixture(scope="session")
def spectra(data_folder):
    crystal = symmetrize(from_phonopy_yaml(data_folder / "phonopy_wse2_gpaw_3x3.yaml"))
    stiffer = replace(crystal, force_constants=1.21 * crystal.force_constants)
    return spectra_of(stiffer, crystal)


@pytest.fixture(scope="session")
def bands(spectra):
    return BandsData(
        distances=spectra.path.distances,
        frequencies_reference=spectra.reference_bands.frequencies,
        frequencies_model=spectra.model_bands.frequencies,
        ticks=spectra.path.ticks,
        segments=spectra.path.segments,
    )


@pytest.fixture(scope="session")
def dos(spectra):
    return DosData(
        frequencies=spectra.reference_dos.frequencies,
        reference_total=spectra.reference_dos.total,
        reference_projected=dict(spectra.reference_dos.projected),
        model_total=spectra.model_dos.total,
        model_projected=dict(spectra.model_dos.projected),
    )


@pytest.fixture(scope="session")
def learning_curve():
    return [
        {
            "epoch": float(epoch),
            "loss": LEARNING_RATE**epoch,
            "energy_mae": 0.02 * LEARNING_RATE**epoch,
            "force_mae": 0.3 * LEARNING_RATE**epoch,
            "stress_mae": 0.002 * LEARNING_RATE**epoch,
            "seconds": 2.0 * epoch,
        }
        for epoch in range(30)
    ]


@pytest.fixture(scope="session")
def timings(cells):
    return [
        Timing(
            kind=atoms.info["kind"],
            n_atoms=len(atoms),
            reference_seconds=atoms.info["wall_s"],
            model_seconds=0.004 * len(atoms),
            sources=(record_id(f"label {i}"), record_id(f"prediction {i}")),
        )
        for i, atoms in enumerate(cells)
    ]


@pytest.fixture(scope="session")
def provenance(timings):
    """A comparison of predictions with labels, and the model back to its dataset."""
    method, model, dataset = (record_id(name) for name in ("method", "model", "dataset"))
    labels = tuple(timing.sources[0] for timing in timings)
    predictions = tuple(timing.sources[1] for timing in timings)
    compared = [("label", record) for record in labels]
    compared += [("prediction", record) for record in predictions]
    top = ProvenanceNode(
        record_id("labels"),
        "validations",
        "labels <b>n=12</b>",
        "comparison",
        (("model", model), ("reference", method), ("on", dataset), *compared),
    )
    members = tuple(("train member", record) for record in labels)
    return [
        top,
        ProvenanceNode(model, "methods", "MACE", "job train", (("training data", dataset),)),
        ProvenanceNode(method, "methods", "gpaw PBE", "import of cells.extxyz", ()),
        ProvenanceNode(dataset, "datasets", "wse2-pbe@1", "job curate", members),
        *(
            ProvenanceNode(record, "calculations", "WSe2 dft", "import", (("method", method),))
            for record in labels
        ),
        *(
            ProvenanceNode(record, "calculations", "WSe2 model", "job", (("method", model),))
            for record in predictions
        ),
    ]


@pytest.fixture(scope="session")
def content(parity, shells, bands, dos, learning_curve, timings, provenance):
    labels, model, method = (record_id(name) for name in ("labels", "model", "method"))
    times = [source for timing in timings for source in timing.sources]
    return ReportContent(
        title="MACE & <i>GPAW</i>",
        names=Names(reference="GPAW PBE", model="MACE"),
        missing={},
        remarks=[],
        facts=[("Reference", "gpaw 26.7.0 PBE 350 eV"), ("Kinds", "<script>alert(1)</script>")],
        dataset=DatasetFacts(
            title="wse2-pbe@1",
            id=record_id("dataset"),
            counts={"train": 9, "valid": 1, "test": 2, "dropped": 1},
            kinds={"pristine-1x1": {"train": 9, "test": 2}, "Se-vacancy-2x2": {"valid": 1}},
            dropped=[(record_id("dropped"), "energy-outliers", "robust z = 6.4 > 5")],
        ),
        parity=parity,
        shells=shells,
        learning_curve=learning_curve,
        phonons=[PhononFigures("", "WSe2 in 3x3x1", bands, dos, [model, method])],
        metrics=[
            Metric("energy_mae", "Energy MAE", 1.23456, "meV/atom", 1.5, (labels,), 2, "12 cells"),
            Metric("stress_mae", "Stress MAE", 0.5432, "meV/A^3", None, (labels,), 2),
            Metric("band_mae_cm1", "Band MAE", 7.654, "cm^-1", 0.05, (model, method), 1),
            Metric("dft_over_model_time", "DFT over model", 1997.4, "", None, tuple(times), 0),
        ],
        timings=timings,
        steps={"import": 0.8, "train": 185.25},
        step_activities={"import": [record_id("file")], "train": ["33818194-a5d1:1"]},
        figure_sources={
            "bands": [model, method],
            "pdos": [model, method],
            "parity_energy": [labels],
            "parity_forces": [labels],
            "force_shells": [labels],
            "learning_curve": [model],
            "timing": times,
        },
        provenance=provenance,
    )
