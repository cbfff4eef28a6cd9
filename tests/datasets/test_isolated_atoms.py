"""Isolated atoms in datasets: E0s of their elements, in no split, offered under other settings."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from forcebase.actions.datasets import build_dataset
from forcebase.curation.recipe import CurationRecipe
from forcebase.ingest.importing import import_paths

METHOD = {
    "code": "testcode",
    "code_version": "1.0",
    "functional": "PBE",
    "basis": {"type": "plane waves", "cutoff_eV": 400.0},
    "pseudopotentials": {"type": "PAW", "library": "some", "version": "1"},
    "k_points": {"rule": "all the same", "spacing_per_A": 0.3},
    "smearing": {"type": "Gaussian", "width_eV": 0.05},
    "spin": "none",
    "dispersion": "none",
    "spin_orbit": False,
}
E0 = -1.25


def crystals(n=24):
    made = []
    for k in range(n):
        atoms = bulk("Cu", cubic=True) * (2, 1, 1)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        bare.calc = SinglePointCalculator(bare, **labels)
        made.append(bare)
    return made


def atom(energy=E0, symbol="Cu", **beside):
    alone = Atoms(symbol, cell=[15, 15, 15], pbc=True)
    alone.calc = SinglePointCalculator(alone, energy=energy, forces=np.zeros((1, 3)), **beside)
    return alone


@pytest.fixture
def imported(db, tmp_path):
    def make(*frames):
        (tmp_path / "method.yaml").write_text(yaml.safe_dump({"method": METHOD}))
        write(tmp_path / "cells.extxyz", [*crystals(), *frames])
        report = import_paths(db, [tmp_path / "cells.extxyz"])
        assert report.failed == []

    return make


def atoms_of(db):
    return {c.id for c in db.calculations.find(n_atoms=1)}


def test_the_atom_gives_the_e0_and_is_in_no_split(db, imported):
    imported(atom())
    dataset = build_dataset(db, "copper", {})
    assert dataset.e0s_source == "isolated atoms"
    assert dataset.e0s == {"Cu": E0}
    members = list(db.members.iterate(dataset=dataset.id))
    assert {m.split for m in members if m.calculation in atoms_of(db)} == {"dropped"}
    (step,) = [s for s in dataset.steps if s["name"] == "isolated-atoms"]
    assert step["n_dropped"] == 1
    assert sum(dataset.counts[split] for split in ("train", "valid", "test")) == 24


def test_a_filter_that_leaves_the_atom_out_does_not_lose_its_e0(db, imported):
    imported(atom())
    dataset = build_dataset(db, "copper", {"n_atoms": 8})
    assert (dataset.e0s_source, dataset.e0s) == ("isolated atoms", {"Cu": E0})
    assert build_dataset(db, "copper", {"n_atoms": 8}).id == dataset.id


def test_an_atom_with_spin_is_offered_and_not_taken(db, imported):
    imported(atom(magmom=1.0))
    dataset = build_dataset(db, "copper", {})
    assert dataset.e0s_source == "fitted"
    (finding,) = dataset.findings
    assert "spin" in finding
    assert "Cu -1.2500 eV" in finding
    assert "not taken" in finding


def test_atoms_of_other_elements_than_the_crystals_are_not_asked(db, imported):
    imported(atom(symbol="Ag"))
    dataset = build_dataset(db, "copper", {"elements": ["Cu"]})
    assert (dataset.e0s_source, dataset.findings) == ("fitted", [])


def test_an_atom_of_another_zero_of_energy_is_not_taken(db, imported):
    imported(atom(energy=-1300.0))
    dataset = build_dataset(db, "copper", {})
    assert dataset.e0s_source == "fitted"
    assert "not taken" in dataset.findings[0]


def test_given_e0s_come_first(db, imported):
    imported(atom())
    dataset = build_dataset(db, "copper", {}, recipe=CurationRecipe(e0s={"Cu": -1.0}))
    assert (dataset.e0s_source, dataset.e0s) == ("given", {"Cu": -1.0})
