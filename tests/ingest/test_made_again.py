"""What a model gives is named by what was asked: made again it is compared, not written twice."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.io import read
from jobflow import run_locally
from pymatgen.core import Structure as Pymatgen
from pymatgen.io.ase import AseAtomsAdaptor

from forcebase.blob import Blob
from forcebase.frames import Frames
from forcebase.ingest.batch import Batch
from forcebase.ingest.collect import collect
from forcebase.ingest.outputs import (
    model_batch,
    phonon_batch,
    predictions_batch,
    relaxation_batch,
)
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.makers.phonon import ForceConstantsMaker
from forcebase.makers.prediction import PredictMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.models import evaluation
from forcebase.models.golden_probe import make_probe
from forcebase.models.loading import load_model
from forcebase.models.mace_calculator import LoadedModel
from forcebase.outputs import model_id
from forcebase.physics.reproduction import LABELS
from forcebase.records import Activity, Calculation, Structure

MATRIX = [[2, 0, 0], [0, 2, 0], [0, 0, 1]]
DTYPES = ("float64", "float32")


def act(db, batch: Batch, name: str):
    """Write as an activity of this name; give its findings."""
    batch.write(db, Activity(id=name, kind="job", name=name))
    return db.activities.get(name).findings


@pytest.fixture
def in_dtype(quick_model):
    """The quick model in a precision, with its own golden probe."""

    def make(dtype: str):
        output = {**quick_model.output, "dtype": dtype, "dataset": None, "dataset_job": None}
        probe = make_probe(quick_model.frames.take([0]), load_model(output))
        return {**output, "golden_probe": probe}

    return make


@pytest.fixture
def cells(quick_model):
    """The quick model's 13 cells of 3 to 12 atoms, under their own ids."""
    found = [Structure.from_atoms(atoms) for atoms in quick_model.frames.atoms()]
    ids = [structure.id for structure in found]
    atoms = [structure.to_atoms() for structure in found]
    return found, Frames.from_atoms(atoms, ids=ids)


def answers(model, frames, monkeypatch, at_once=100, threads=1):
    """What a job gives, with so many atoms a batch and so many threads."""
    monkeypatch.setattr(evaluation, "ATOMS_PER_BATCH", at_once)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = evaluation.evaluate(frames, load_model(model))
    finally:
        torch.set_num_threads(before)
    return {
        "forcebase": "predictions",
        "model": model_id(model),
        "weights_sha256": model["weights_sha256"],
        "dtype": model["dtype"],
        "head": model["head"],
        "frames": found.frames.to_blob(),
        "wall_times": found.wall_times.tolist(),
        "package_versions": {},
        "wall_time": 1.0,
    }


def changed(output, energy=0.0, force=0.0, rows=slice(None)):
    """The same output, off by so many eV a structure and eV/angstrom."""
    frames = Frames.from_blob(output["frames"])
    energies, forces = frames.energies.copy(), frames.forces.copy()
    energies[rows] += energy
    forces += force
    return {**output, "frames": replace(frames, energies=energies, forces=forces).to_blob()}


def fill(db, model, structures=()):
    batch = model_batch(db, model)
    batch.structures = list(structures)
    act(db, batch, "model")
    return batch.methods[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_and_threads_change_bits_and_no_ids(
    dtype, in_dtype, cells, db, other_db, monkeypatch
):
    model, (structures, frames) = in_dtype(dtype), cells
    ways = [(100, 1), (1, 1), (1000, 2), (30, 2)]
    given = [answers(model, frames, monkeypatch, *way) for way in ways]
    bits = {Frames.from_blob(output["frames"]).forces.tobytes() for output in given}
    assert len(bits) > 1, "the ways differ in no bit: this test shows nothing"
    for base in (db, other_db):
        fill(base, model, structures)
    act(other_db, predictions_batch(other_db, given[-1]), "elsewhere")
    for i, output in enumerate(given):
        assert act(db, predictions_batch(db, output), f"way {i}") == []
    assert db.calculations.count() == len(frames)
    ids = {c.id for c in db.calculations.find()}
    assert ids == {c.id for c in other_db.calculations.find()}
    assert {c.provenance.activity for c in db.calculations.find()} == {"way 0"}
    assert verify(db, models=False).is_sound


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_that_was_tampered_with_is_found(dtype, in_dtype, cells, db, monkeypatch):
    """Its weights are edited in memory, so that it is off by a thousandth of an eV."""
    model, (structures, frames) = in_dtype(dtype), cells
    record = fill(db, model, structures)
    first = answers(model, frames, monkeypatch)
    act(db, predictions_batch(db, first), "first")
    loaded = load_model(model)
    assert isinstance(loaded, LoadedModel)
    energies = loaded.network.atomic_energies_fn.atomic_energies
    energies += 1e-3
    try:
        again = answers(model, frames, monkeypatch)
    finally:
        energies -= 1e-3
    [finding] = act(db, predictions_batch(db, again), "again")
    assert (finding["model"], finding["n"], finding["compared"]) == (record.id, 13, 13)
    assert finding["energy_eV_per_atom"] == pytest.approx(1e-3, rel=0.05)
    assert finding["tolerance"]["force_eV_per_A"] == LABELS[dtype].force
    assert "13 of 13 predictions" in finding["message"]
    assert dtype in finding["message"]
    kept = {c.structure: c.energy for c in db.calculations.find()}
    found = Frames.from_blob(first["frames"])
    assert kept == dict(zip(found.structures.tolist(), found.energies.tolist(), strict=True))


def test_the_finding_counts_those_that_are_off(in_dtype, cells, db, monkeypatch):
    model, (structures, frames) = in_dtype("float64"), cells
    fill(db, model, structures)
    first = answers(model, frames.take(range(9)), monkeypatch)
    act(db, predictions_batch(db, first), "first")
    all_of_them = changed(answers(model, frames, monkeypatch), energy=0.5, rows=[2, 12])
    [finding] = act(db, predictions_batch(db, all_of_them), "again")
    assert (finding["n"], finding["compared"]) == (1, 9)
    assert finding["record"] == frames.structures[2]
    assert db.calculations.count() == 13
    assert {c.provenance.activity for c in db.calculations.find()} == {"first", "again"}


def as_before(calculation: Calculation) -> Calculation:
    """Named as schemas up to 10 did."""
    calculation.identity = None
    return calculation.sealed()


def test_a_prediction_of_an_earlier_schema_stays_the_only_one(in_dtype, cells, db, monkeypatch):
    model, (structures, frames) = in_dtype("float64"), cells
    record = fill(db, model, structures)
    output = answers(model, frames, monkeypatch)
    found = Frames.from_blob(output["frames"])
    old = [
        as_before(
            Calculation.of(
                structures[i],
                record,
                energy=found.energies[i],
                forces=found.forces[found.owners == i],
                stress=found.stresses[i],
            )
        )
        for i in range(4)
    ]
    db.calculations.add(old)
    assert act(db, predictions_batch(db, output), "again") == []
    assert db.calculations.count() == 13
    assert {c.id for c in old} <= {c.id for c in db.calculations.find()}
    [finding] = act(db, predictions_batch(db, changed(output, force=0.1)), "off")
    assert (finding["n"], finding["force_eV_per_A"]) == (13, pytest.approx(0.1))
    assert db.calculations.count() == 13


def test_an_activity_that_was_killed_finds_its_own_records(in_dtype, cells, db, monkeypatch):
    """What it wrote before counts as written by it, whatever it gives now."""
    model, (structures, frames) = in_dtype("float64"), cells
    fill(db, model, structures)
    output = answers(model, frames, monkeypatch)
    batch = predictions_batch(db, output)
    half = Batch(label_tables=[batch.label_tables[0].take(np.arange(5))])
    act(db, half, "job")
    db.activities.raw.delete_one({"_id": "job"})
    assert act(db, batch, "job") == []
    assert db.activities.get("job").run.written["calculations"]["n"] == 13
    assert verify(db, models=False).is_sound


def test_one_structure_twice_in_one_batch_is_held_to_the_first(in_dtype, cells, db):
    structure = cells[0][0]
    record = fill(db, in_dtype("float64"), [structure])
    forces = np.zeros((structure.n_atoms, 3))
    labels = [
        Calculation.of(structure, record, energy=energy, forces=forces)
        for energy in (-1.0, -1.0 + 1e-12, -2.0)
    ]
    [finding] = act(db, Batch(calculations=labels), "both")
    assert (finding["n"], finding["compared"]) == (1, 2)
    assert db.calculations.one().energy == -1.0


def test_dft_is_named_by_its_labels(imported, db):
    imported(db, "wse2_gpaw_unitcell.extxyz")
    one = db.calculations.one()
    energy = one.energy
    assert one.identity is None
    assert one.digest() == one.id
    one.energy = energy + 1e-12
    assert one.digest() != one.id


@pytest.fixture(scope="module")
def relaxed_twice(quick_model, data_folder, new_database):
    """Two relaxations of one cell that differ in last bits, and force constants of both."""
    store = new_database().job_store
    cell = read(data_folder / "wse2_gpaw_unitcell.extxyz")
    cell.rattle(0.02, seed=1)
    structure = AseAtomsAdaptor.get_structure(cell)
    model = {**quick_model.output, "dataset": None, "dataset_job": None}
    first = RelaxMaker(fmax=1e-4).make(model, structure).run(store).output
    moved = copy.deepcopy(first)
    atoms = AseAtomsAdaptor.get_atoms(Pymatgen.from_dict(first["structure"]))
    atoms.positions += np.random.default_rng(0).normal(scale=3e-7, size=atoms.positions.shape)
    moved["structure"] = AseAtomsAdaptor.get_structure(atoms).as_dict()
    phonons = [
        ForceConstantsMaker().make(model, output, MATRIX).run(store).output
        for output in (first, moved)
    ]
    start = Structure.from_atoms(AseAtomsAdaptor.get_atoms(structure))
    return model, start, [first, moved], phonons


def test_a_relaxation_made_again_gives_the_first_structure(relaxed_twice, db, other_db):
    model, start, relaxations, phonons = relaxed_twice
    for base, order in ((db, (0, 1)), (other_db, (1, 0))):
        fill(base, model, [start])
        for n in order:
            assert act(base, relaxation_batch(base, relaxations[n]), f"relax {n}") == []
            assert act(base, phonon_batch(base, phonons[n]), f"phonon {n}") == []
        assert base.structures.count() == 2
        assert base.calculations.count() == base.phonons.count() == 1
        assert base.phonons.one().structure == base.calculations.one().structure
        assert verify(base, models=False).findings == []
    assert db.phonons.one().force_constants != other_db.phonons.one().force_constants
    assert db.phonons.one().id == other_db.phonons.one().id


def test_two_collectors_at_the_same_moment_are_told_by_verify(relaxed_twice, db):
    """Neither finds the other's end; what follows is of the first."""
    model, start, relaxations, phonons = relaxed_twice
    fill(db, model, [start])
    both = [relaxation_batch(db, relaxation) for relaxation in relaxations]
    for n, batch in enumerate(both):
        assert act(db, batch, f"relax {n}") == []
    assert db.structures.count() == 3
    [finding] = verify(db, models=False).findings
    assert finding.kind is FindingKind.RELAXED_TWICE
    first, again = (batch.structures[0].id for batch in both)
    assert (finding.record, finding.expected) == (again, first)
    assert not finding.kind.is_damage
    for n, phonon in enumerate(phonons):
        act(db, phonon_batch(db, phonon), f"phonon {n}")
    assert [phonon.structure for phonon in db.phonons.find()] == [first]


def test_a_relaxation_that_ends_elsewhere_is_a_finding(relaxed_twice, db):
    model, start, relaxations, phonons = relaxed_twice
    fill(db, model, [start])
    act(db, relaxation_batch(db, relaxations[0]), "first")
    elsewhere = [copy.deepcopy(output) for output in (relaxations[1], phonons[1])]
    for output in elsewhere:
        structure = Pymatgen.from_dict(output["structure"])
        structure.translate_sites([1], [0.0, 0.0, 0.4], frac_coords=False)
        output["structure"] = structure.as_dict()
    [finding] = act(db, relaxation_batch(db, elsewhere[0]), "again")
    assert finding["kind"] == "relaxation"
    assert finding["length_A"] > 0.2
    assert db.structures.count() == 2
    # its force constants are of where it ended, and say so
    [finding] = act(db, phonon_batch(db, elsewhere[1]), "phonon")
    phonon = db.phonons.one()
    assert finding["message"] in phonon.findings
    assert db.structures.count() == 3
    assert phonon.structure not in {db.calculations.one().structure, start.id}
    assert set(verify(db, models=False).counts) == {FindingKind.NOT_REPRODUCED}


def test_force_constants_that_are_others_are_a_finding_and_no_second_phonon(relaxed_twice, db):
    model, start, relaxations, phonons = relaxed_twice
    fill(db, model, [start])
    act(db, relaxation_batch(db, relaxations[0]), "relax")
    act(db, phonon_batch(db, phonons[0]), "first")
    constants = phonons[1]["force_constants"].arrays()["force_constants"]
    wrong = {**phonons[1], "force_constants": Blob.from_arrays(force_constants=constants * 1.1)}
    [finding] = act(db, phonon_batch(db, wrong), "again")
    assert finding["kind"] == "phonon"
    off = np.abs(0.1 * constants).max()
    assert finding["force_constants_eV_per_A2"] == pytest.approx(off, rel=0.05)
    assert db.phonons.count() == 1
    # and there is no blob that no record names
    assert set(verify(db, models=False).counts) == {FindingKind.NOT_REPRODUCED}


def test_a_phonon_of_an_earlier_schema_stays_the_only_one(relaxed_twice, db):
    model, start, relaxations, phonons = relaxed_twice
    fill(db, model, [start])
    act(db, relaxation_batch(db, relaxations[0]), "relax")
    batch = phonon_batch(db, phonons[0])
    batch.phonons[0].identity = None
    old = batch.phonons[0].sealed()
    db.blobs.put(batch.blobs[0])
    db.phonons.add([old])
    assert act(db, phonon_batch(db, phonons[1]), "again") == []
    assert [p.id for p in db.phonons.find()] == [old.id]


def test_other_settings_are_another_phonon(relaxed_twice, db):
    model, start, relaxations, phonons = relaxed_twice
    fill(db, model, [start])
    act(db, relaxation_batch(db, relaxations[0]), "relax")
    act(db, phonon_batch(db, phonons[0]), "first")
    coarse = copy.deepcopy(phonons[0])
    coarse["protocol"]["tolerance_eV_per_A2"] = 1e-6
    act(db, phonon_batch(db, coarse), "coarse")
    rough = copy.deepcopy(phonons[0])
    rough["relaxation"]["converged"] = False
    act(db, phonon_batch(db, rough), "rough")
    assert db.phonons.count() == 3


def test_a_job_that_runs_twice_is_collected_once(quick_model, cells, db, tmp_path):
    """By the maker, the JobStore and the collection, as a worker's outputs come."""
    model = {**quick_model.output, "dataset": None, "dataset_job": None}
    structures, frames = cells
    fill(db, model, structures)
    candidates = {"forcebase": "candidates", "frames": frames.to_blob()}
    for _ in range(2):
        job = PredictMaker().make(model, candidates)
        run_locally(job, log=False, store=db.job_store, root_dir=tmp_path, create_folders=True)
    report = collect(db)
    assert (report.jobs, report.failed, report.findings) == (2, [], [])
    assert report.added == {"calculations": 13}
