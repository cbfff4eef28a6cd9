"""Where records come from and what was made from them, on the real data."""

import uuid

import pytest

from forcebase.actions import build_dataset
from forcebase.blob import Blob
from forcebase.comparison import compare
from forcebase.database.database import Database
from forcebase.errors import NotFoundError
from forcebase.ingest.importing import import_paths
from forcebase.lineage import MANY, trace_down, trace_up
from forcebase.records import Calculation, ModelMethod
from forcebase.settings import Settings


@pytest.fixture(scope="module")
def story(server_home, data_folder):
    """Cells -> dataset -> a model with its labels -> a comparison."""
    settings = Settings(home=server_home, database=f"test_{uuid.uuid4().hex[:12]}")
    db = Database(settings)
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    dft = db.methods.one()
    dataset = build_dataset(db, "d", {})
    model = ModelMethod(
        kind="MACE",
        weights=Blob(b"w").sha256,
        dtype="float64",
        elements=["Se", "W"],
        dataset=dataset.id,
    ).made_from("training data", "datasets", dataset.id)
    db.methods.add([model.sealed()])
    member = db.members.one(dataset=dataset.id, split="test")
    reference = db.calculations.get(member.calculation)
    structure = db.structures.get(member.structure)
    made = Calculation.of(structure, model, energy=reference.energy, forces=reference.forces)
    db.calculations.add([made])
    validation = compare(db, model.id, dft.id, "d:test")
    yield (
        db,
        {
            "dft": dft,
            "dataset": dataset,
            "model": model,
            "reference": reference,
            "prediction": made,
            "validation": validation,
        },
    )
    db.client.drop_database(settings.database)
    db.close()


def every(node):
    yield node
    for link in node.links:
        yield from every(link)


def test_up_reaches_the_files(story):
    db, records = story
    nodes = list(every(trace_up(db, "validations", records["validation"].id)))
    assert {n.collection for n in nodes} >= {"validations", "methods", "datasets", "calculations"}
    origins = {n.made_by for n in nodes if n.collection == "structures"}
    assert origins
    assert all("wse2_gpaw_pbe.extxyz" in origin and "sha256" in origin for origin in origins)
    ids = {n.record for n in nodes}
    assert {records[k].id for k in ("dft", "model", "dataset")} <= ids
    job = next(n for n in nodes if n.record == records["dataset"].id)
    assert job.made_by.startswith("job ")


def test_down_tells_what_a_bad_record_taints(story):
    """A training record leads to the dataset, the model, its labels and the comparison."""
    db, records = story
    member = db.members.one(dataset=records["dataset"].id, split="train")
    nodes = list(every(trace_down(db, "calculations", member.calculation)))
    ids = {n.record for n in nodes}
    assert {records[k].id for k in ("dataset", "model", "prediction", "validation")} <= ids
    assert next(n for n in nodes if n.collection == "datasets").role == "train in"


def test_many_of_a_kind_are_counted_not_listed(story):
    db, records = story
    node = trace_up(db, "datasets", records["dataset"].id, depth=1)
    train = [n for n in node.links if n.role == "train member"]
    assert len(train) == MANY + 1
    assert train[-1].title == f"and {records['dataset'].counts['train'] - MANY} more"
    assert (train[-1].collection, train[-1].record) == ("", "")


def test_depth_ends_the_walk(story):
    db, records = story
    assert trace_up(db, "validations", records["validation"].id, depth=0).links == []
    once = trace_up(db, "validations", records["validation"].id, depth=1)
    assert once.links
    assert all(link.links == [] for link in once.links)


def test_it_is_plain_data(story):
    import json

    db, records = story
    tree = trace_up(db, "datasets", records["dataset"].id).as_dict()
    assert json.loads(json.dumps(tree)) == tree


def test_a_record_that_is_not_there(story):
    db, _ = story
    with pytest.raises(NotFoundError, match="structures has no record 0000000000"):
        trace_up(db, "structures", "0" * 64)
    with pytest.raises(NotFoundError, match="no collection 'spectra'"):
        trace_up(db, "spectra", "0" * 64)


def test_a_parent_that_is_elsewhere_does_not_hide_the_rest(db, data_folder):
    """Cells drawn from a structure that this database was never given."""
    path = data_folder.parent / "wse2_gpaw_new" / "0000.json"
    assert import_paths(db, [path]).failed == []
    structure = db.structures.one()
    parent = structure.recipe["parent"]
    assert db.structures.missing([parent])
    node = trace_up(db, "calculations", db.calculations.one().id)
    missing = next(n for n in every(node) if n.record == parent)
    assert missing.title == "not in this database"
    assert missing.links == []
