"""Metals have two energies: datasets, comparison and export take the one of the forces."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from forcebase.actions.datasets import build_dataset
from forcebase.comparison.energies import compared_kind, energies_told, trained_kind
from forcebase.comparison.joining import join
from forcebase.comparison.labels import compare_labels
from forcebase.curation.recipe import CurationRecipe
from forcebase.database.reading import read_frames
from forcebase.datasets import dataset_frames
from forcebase.datasets.export import export
from forcebase.datasets.recipe import recipe_of
from forcebase.errors import InputError
from forcebase.ingest.importing import import_paths
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records import Activity, DFTMethod, ModelMethod

METHOD = {
    "code": "testcode",
    "code_version": "1.0",
    "functional": "PBE",
    "basis": {"type": "plane waves", "cutoff_eV": 400.0},
    "pseudopotentials": {"type": "PAW", "library": "some", "version": "1"},
    "k_points": {"rule": "all the same", "spacing_per_A": 0.3},
    "smearing": {"type": "Gaussian", "width_eV": 0.3},
    "spin": "none",
    "dispersion": "none",
    "spin_orbit": False,
}
N = 24


def offset(k: int) -> float:
    """What extrapolation adds, eV: more from cell to cell, which no force knows of."""
    return 0.05 + 0.02 * k


def metal(**changes) -> list[Atoms]:
    frames = []
    for k in range(N):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        free = atoms.get_potential_energy()
        labels = {"energy": free + offset(k), "free_energy": free, "forces": atoms.get_forces()}
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        kept = {name: value for name, value in (labels | changes).items() if value is not None}
        bare.calc = SinglePointCalculator(bare, **kept)
        frames.append(bare)
    return frames


def take_in(db, folder, frames):
    folder.mkdir(exist_ok=True)
    (folder / "method.yaml").write_text(yaml.safe_dump({"method": METHOD}))
    write(folder / "cells.extxyz", frames)
    report = import_paths(db, [folder / "cells.extxyz"])
    assert report.failed == []
    return db.methods.one(code="testcode")


def model_of(dataset, weights="a") -> ModelMethod:
    """A model that was trained on the dataset, as far as its record says."""
    return ModelMethod(
        kind="MACE",
        weights=weights * 64,
        dtype="float64",
        elements=["Cu"],
        dataset=dataset.id if dataset else None,
        e0s=dict(dataset.e0s) if dataset else {"Cu": 0.0},
        n_parameters=1,
    ).sealed()


def predicted(db, model, frames) -> None:
    """Take the labels of these frames for the model's answers."""
    from forcebase.database.label_table import LabelTable
    from forcebase.ingest.batch import Batch

    batch = Batch(methods=[model], label_tables=[LabelTable.of(db, model, frames)])
    batch.write(db, Activity(id=f"answers of {model.id}", kind="job", name="predict"))


def test_both_are_read_as_asked(db, tmp_path):
    take_in(db, tmp_path, metal())
    free = read_frames(db, {})
    other = read_frames(db, {}, EnergyKind.EXTRAPOLATED)
    assert free.ids.tolist() == other.ids.tolist()
    gaps = np.sort(other.energies - free.energies)
    np.testing.assert_allclose(gaps, [offset(k) for k in range(N)], atol=1e-7)


def test_datasets_take_the_free_energy_unless_asked(db, tmp_path):
    take_in(db, tmp_path, metal())
    dataset = build_dataset(db, "copper", {})
    assert dataset.energy_kind == "free"
    other = build_dataset(db, "other", {}, recipe=CurationRecipe(energy="extrapolated"))
    assert other.energy_kind == "extrapolated"
    gap = dataset_frames(db, other).energies - dataset_frames(db, dataset).energies
    assert gap.min() == pytest.approx(offset(0), abs=1e-7)
    assert recipe_of(other).energy == "extrapolated"
    assert recipe_of(dataset).energy is None
    assert build_dataset(db, "other", {}, recipe=recipe_of(other)).id == other.id


def test_only_known_kinds_can_be_asked_for():
    with pytest.raises(InputError, match="energy"):
        CurationRecipe(energy="total")


def test_a_model_is_compared_with_the_kind_that_it_was_trained_on(db, tmp_path):
    """A perfect model of either kind has no error, and each would have one on the other."""
    dft = take_in(db, tmp_path, metal())
    for name, kind in (("free", None), ("extrapolated", "extrapolated")):
        dataset = build_dataset(db, name, {}, recipe=CurationRecipe(energy=kind))
        model = model_of(dataset, name[0])
        predicted(db, model, read_frames(db, {"method": dft.id}, EnergyKind(name)))
        assert compared_kind(db, model) == trained_kind(db, model) == name
        found = compare_labels(db, model, dft)
        assert found.metrics["overall"]["energy"]["max"] < 1e-4
        assert found.on["energy"] == name
        assert energies_told(db, model, dft, join(db, model, dft, {})) == ""


def test_unknown_kinds_are_said(db, tmp_path):
    dft = take_in(db, tmp_path, metal(free_energy=None))
    dataset = build_dataset(db, "copper", {})
    assert dataset.energy_kind is None
    model = model_of(dataset)
    predicted(db, model, dataset_frames(db, dataset))
    told = energies_told(db, model, dft, join(db, model, dft, {}))
    assert "not all kinds of energies are known" in told
    assert "not recorded" in told


def test_unlike_kinds_are_said(db, tmp_path):
    """A model of extrapolated energies, and DFT that has free ones alone."""
    take_in(db, tmp_path / "both", metal())
    dataset = build_dataset(db, "copper", {}, recipe=CurationRecipe(energy="extrapolated"))
    model = model_of(dataset)
    predicted(db, model, dataset_frames(db, dataset))
    fields = {**METHOD, "code": "othercode"}
    (tmp_path / "free").mkdir()
    (tmp_path / "free" / "method.yaml").write_text(yaml.safe_dump({"method": fields}))
    write(tmp_path / "free" / "cells.extxyz", metal(energy=None))
    assert import_paths(db, [tmp_path / "free" / "cells.extxyz"]).failed == []
    other = db.methods.one(code="othercode")
    assert isinstance(other, DFTMethod)
    told = energies_told(db, model, other, join(db, model, other, {}))
    assert "unlike kinds" in told
    assert "24 free" in told


def test_mixed_kinds_are_a_finding_of_the_dataset(db, tmp_path):
    frames = metal()
    for atoms in frames[:5]:
        atoms.calc.results.pop("free_energy")
    take_in(db, tmp_path, frames)
    dataset = build_dataset(db, "copper", {})
    assert dataset.energy_kind is None
    assert "19 free, 5 not recorded" in dataset.findings[0]


def test_exports_say_the_kind_and_are_read_back(db, tmp_path):
    take_in(db, tmp_path, metal())
    dataset = build_dataset(db, "copper", {})
    files = export(db, dataset, tmp_path / "out")
    atoms = read(files[0], 0)
    assert atoms.info["energy_kind"] == "free"
    record = db.calculations.get(str(atoms.info["calculation"]))
    assert atoms.info["REF_energy"] == pytest.approx(record.free_energy, abs=1e-7)
    (tmp_path / "out" / "method.yaml").write_text(yaml.safe_dump({"method": METHOD}))
    assert import_paths(db, [files[0]]).failed == []
    again = db.calculations.one(energy=float(atoms.info["REF_energy"]))
    assert (again.energy_kind, again.free_energy) == ("free", None)


def test_a_record_as_atoms_has_both(db, tmp_path):
    take_in(db, tmp_path, metal())
    record = next(iter(db.calculations.find(limit=1)))
    atoms = record.to_atoms(db.structures.get(record.structure))
    assert atoms.get_potential_energy() == record.energy
    assert atoms.get_potential_energy(force_consistent=True) == record.free_energy
