"""The interface from the first line to the last, as its users were told it would be."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.tersoff import Tersoff
from matplotlib.figure import Figure
from silicon_models import TERSOFF, rattled

import forcebase as fb
from forcebase.ingest.batch import Batch
from forcebase.records import Activity, Calculation, DFTMethod, Structure

TRAINING = {"epochs": 2, "num_channels": 4, "max_L": 0, "r_max": 4.0, "device": "cpu"}


def label(db, n):
    """Cells of silicon on record as of a DFT method, whose numbers a Tersoff potential makes up."""
    method = DFTMethod.of_rules(
        code="vasp",
        functional="PBE",
        basis={"type": "plane waves", "cutoff_eV": 400.0},
        pseudopotentials={"type": "PAW"},
        smearing={"type": "gaussian", "width_eV": 0.05},
        spin="none",
        dispersion="none",
        spin_orbit=False,
    )
    calculator, batch = Tersoff.from_lammps(TERSOFF), Batch(methods=[method])
    for cell in rattled(n):
        structure = Structure.from_atoms(cell, kind="rattled")
        cell.calc = calculator
        calculation = Calculation.of(
            structure,
            method,
            energy=cell.get_potential_energy(),
            forces=cell.get_forces(),
            stress=cell.get_stress(),
            energy_kind="free",
        )
        batch.structures.append(structure)
        batch.calculations.append(calculation)
    batch.write(db, Activity(id="labels", kind="import", name="labels"))
    db.names.name("pbe", "methods", method.id)


@pytest.fixture
def home(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    monkeypatch.delenv("FORCEBASE_MONGODB_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    bulk("Si").write("si.cif")


@pytest.mark.training
def test_from_a_file_to_a_comparison(home):
    db = fb.connect()
    label(db, 14)
    si = db.structures.add("si.cif", name="si")
    strong = db.calculations.find({"max_force": {"$lt": 5}}, sort="energy", limit=50)
    assert [c.energy for c in strong] == sorted(c.energy for c in strong)
    ds = db.datasets.build("si", method="pbe")
    assert len(ds.atoms("train")) == ds.counts["train"] > 5
    model = db.train(ds, **TRAINING)
    assert db.train("si", **TRAINING) == model
    atoms = si.atoms
    atoms.calc = model.calculator()
    assert np.isfinite(atoms.get_potential_energy())
    ph = db.phonon(model, si, supercell=(4, 4, 4), fmax=1e-3)
    assert ph.n_atoms_supercell == 128
    assert isinstance(ph.bands().plot(), Figure)
    assert len(ph.dos(mesh=(5, 5, 5)).frequencies) > 10
    assert ph.thermal([300]).heat_capacity[0] > 0
    found = db.compare(model, "pbe", on="si:test")
    test = {a.info["structure"]: a for a in ds.atoms("test")}
    off = []
    for structure, reference in test.items():
        predicted = db.structures.get(structure).atoms
        predicted.calc = model.calculator()
        off.append(np.abs(predicted.get_forces() - reference.get_forces()).ravel())
    expected = 1e3 * np.concatenate(off).mean()
    assert found.errors.forces.mae == pytest.approx(expected, rel=1e-6)
    assert model.learning().plot().axes[0].get_xlabel() == "Epoch"
    assert len(model.learning().to_dataframe()) == len(model.learning_curve)
    assert model.learning().kept in model.learning().epochs
    assert "trained on si@1" in repr(model)
    db.close()
