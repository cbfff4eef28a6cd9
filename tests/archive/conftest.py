"""A database worth an archive: real DFT, a dataset, a real model, comparisons, names, tags."""

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.archive import write_archive
from forcebase.comparison import compare
from forcebase.ingest.batch import Batch
from forcebase.ingest.outputs import model_batch
from forcebase.provenance.taint import set_taint
from forcebase.records import Activity, Calculation

FILES = (
    "wse2_gpaw_pbe.extxyz",
    "wse2_gpaw_unitcell.extxyz",
    "wse2_gpaw_3x3_displacements.extxyz",
    "phonopy_wse2_gpaw_3x3.yaml",
)


def _predict(db, model, dataset):
    """What a model that is off by a tenth says of three test cells, and of one that is in none."""
    labels = []
    for member in db.members.find(dataset=dataset.id, split="test", limit=3, sort="calculation"):
        reference = db.calculations.get(member.calculation)
        structure = db.structures.get(member.structure)
        forces = reference.forces * 1.1
        labels.append(Calculation.of(structure, model, energy=reference.energy, forces=forces))
    Batch(calculations=labels).write(db, Activity(id="prediction:1", kind="job", name="predict"))


@pytest.fixture(scope="session")
def shelf(new_database, quick_model, imported):
    """The database, with a validation on a dataset named "judged"."""
    db = new_database()
    imported(db, *FILES)
    dataset = build_dataset(db, "d", {})
    made = model_batch(db, {**quick_model.output, "dataset": dataset.id})
    made.write(db, Activity(id="training:1", kind="job", name="train"))
    [model] = made.methods
    _predict(db, model, dataset)
    db.names.name("mace", "methods", model.id)
    db.names.name("gpaw-pbe", "methods", dataset.method)
    db.names.tag("good", "datasets", dataset.id)
    validation = compare(db, "mace", "gpaw-pbe", "d:test").validation
    db.names.name("judged", "validations", validation.id)
    compare(db, "mace", "gpaw-pbe")
    set_taint(db, "phonons", db.phonons.one().id, "too small a supercell")
    return db


@pytest.fixture(scope="session")
def judged(shelf, tmp_path_factory):
    """An archive of the validation, with all that it was made from, and its manifest."""
    place, record = shelf.resolve("judged")
    target = tmp_path_factory.mktemp("archive") / "judged.zip"
    return write_archive(shelf, [(place, record.id)], target)


@pytest.fixture
def second(other_db):
    """Another database, empty."""
    return other_db
