"""What a bad record makes stale: all that depends on it, now and later, and nothing else."""

import pytest
from ase.build import bulk

from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare
from forcebase.errors import InputError, NotFoundError
from forcebase.ingest.batch import Batch
from forcebase.provenance import taint as taints
from forcebase.provenance.taint import remove_taint, set_taint, stale_among
from forcebase.records import Activity, Calculation, ModelMethod, Structure
from forcebase.records.dataset import DROPPED


@pytest.fixture(scope="module")
def story(new_database, imported):
    """Two imports -> a dataset -> a model -> labels by two jobs -> comparisons."""
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    imported(db, "wse2_gpaw_unitcell.extxyz")
    dft = db.methods.one()
    dataset = build_dataset(db, "d", {})
    model = ModelMethod(
        kind="MACE",
        weights="a" * 64,
        dtype="float64",
        elements=["Se", "W"],
        dataset=dataset.id,
    ).made_from("training data", "datasets", dataset.id)
    Batch(methods=[model.sealed()]).write(db, Activity(id="train:1", kind="job", name="train"))
    for split in ("test", "valid"):
        label(db, model, db.members.one(dataset=dataset.id, split=split).structure, split)
    compare(db, model.id, dft.id, "d:test")
    compare(db, model.id, dft.id)
    return db, dft, dataset, model


def label(db, model, structure_id, job):
    structure = db.structures.get(structure_id)
    made = Calculation.of(structure, model, energy=-1.0, forces=structure.positions * 0)
    Batch(calculations=[made]).write(db, Activity(id=f"{job}:1", kind="job", name="predict"))
    return made


@pytest.fixture(autouse=True)
def no_taints_left(story):
    yield
    for taint in list(story[0].taints.iterate()):
        remove_taint(story[0], taint.id)


def stale(db):
    """Ids of all that is stale, by collection."""
    return {
        name: set(stale_among(db, name, place.raw.distinct("_id")))
        for name, place in db.record_collections.items()
    }


def members(db, dataset, split):
    return db.members.raw.distinct("calculation", {"dataset": dataset.id, "split": split})


def test_without_a_taint_nothing_is_stale_and_one_query_says_so(story, monkeypatch):
    db, *_ = story
    monkeypatch.setattr(taints, "_Judge", None)  # would fail if anything were judged
    assert not any(stale(db).values())


def test_a_training_record_taints_dataset_model_labels_and_comparisons(story):
    db, dft, dataset, model = story
    bad = members(db, dataset, "train")[0]
    set_taint(db, "calculations", bad, "not converged")
    found = stale(db)
    predictions = {c.id for c in db.calculations.find(method=model.id)}
    assert found["calculations"] == {bad} | predictions
    assert found["datasets"] == {dataset.id}
    assert found["methods"] == {model.id}
    assert found["validations"] == set(db.validations.raw.distinct("_id"))
    assert found["structures"] == set()
    reasons = stale_among(db, "methods", [model.id, dft.id])
    assert reasons == {model.id: f"from calculations {bad[:10]}, tainted: not converged"}
    assert stale_among(db, "calculations", [bad]) == {bad: "tainted: not converged"}


def test_a_record_that_was_dropped_taints_only_itself_and_what_it_was_compared_in(story):
    db, _, dataset, _ = story
    used = db.structures.raw.distinct("_id")
    dropped = [c for c in members(db, dataset, DROPPED) if db.calculations.get(c).structure in used]
    assert dropped
    set_taint(db, "calculations", dropped[0], "wrong spin")
    found = stale(db)
    assert found["calculations"] == {dropped[0]}
    assert found["datasets"] == found["methods"] == set()


def test_a_structure_taints_its_calculations_and_where_they_are(story):
    db, _, dataset, model = story
    row = db.members.one(dataset=dataset.id, split="train")
    set_taint(db, "structures", row.structure, "atoms swapped")
    found = stale(db)
    assert found["structures"] == {row.structure}
    assert row.calculation in found["calculations"]
    assert found["datasets"] == {dataset.id}
    assert found["methods"] == {model.id}


def test_descendants_of_a_structure_are_stale_to_any_depth(db):
    atoms = bulk("Cu")
    chain = [Structure.from_atoms(atoms)]
    for i in range(4):
        atoms = atoms.copy()
        atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)
        recipe = {"operation": "strain", "parent": chain[i].id}
        chain.append(Structure.from_atoms(atoms, recipe=recipe))
    db.structures.add(chain)
    set_taint(db, "structures", chain[1].id, "wrong cell")
    ids = [s.id for s in chain]
    assert set(stale_among(db, "structures", ids)) == set(ids[1:])


def test_a_prediction_taints_the_comparisons_that_took_it_and_no_dataset(story):
    db, *_ = story
    tested = db.calculations.find({"provenance.activity": "test:1"})[0]
    validated = db.calculations.find({"provenance.activity": "valid:1"})[0]
    on_test = next(v for v in db.validations.find() if v.on["split"] == "test")
    on_all = next(v for v in db.validations.find() if not v.on["split"])
    set_taint(db, "calculations", validated.id, "ran out of memory")
    assert stale(db)["validations"] == {on_all.id}
    remove_taint(db, validated.id)
    set_taint(db, "calculations", tested.id, "ran out of memory")
    found = stale(db)
    assert found["validations"] == {on_test.id, on_all.id}
    assert found["datasets"] == found["methods"] == set()


def test_a_job_taints_what_it_made(story):
    db, *_ = story
    set_taint(db, "activities", "test:1", "broken node")
    found = stale(db)
    assert found["calculations"] == set(
        db.calculations.raw.distinct("_id", {"provenance.activity": "test:1"})
    )
    assert len(found["validations"]) == 2


def test_an_import_taints_its_records_but_not_the_set_up_that_others_share(story):
    db, dft, dataset, model = story
    activity = dft.provenance.activity
    made = {"provenance.activity": activity}
    set_taint(db, "activities", activity, "the files were mixed up")
    found = stale(db)
    assert dft.id not in found["methods"]
    assert found["methods"] == {model.id}
    assert found["calculations"] >= set(db.calculations.raw.distinct("_id", made))
    assert found["datasets"] == {dataset.id}
    others = db.calculations.find({"provenance.activity": {"$ne": activity}}, method=dft.id)
    untouched = {c.id for c in others} - found["calculations"]
    assert untouched


def test_a_method_taints_all_its_labels(story):
    db, dft, dataset, model = story
    set_taint(db, "methods", dft.id, "wrong cutoff")
    found = stale(db)
    assert found["calculations"] == set(db.calculations.raw.distinct("_id"))
    assert found["datasets"] == {dataset.id}
    assert found["methods"] == {dft.id, model.id}


def test_what_is_made_after_the_taint_is_stale_too(story):
    db, dft, dataset, model = story
    bad = members(db, dataset, "train")[0]
    set_taint(db, "calculations", bad, "not converged")
    assert stale(db)["methods"] == {model.id}  # which is remembered for the dataset
    later = ModelMethod(
        kind="MACE", weights="b" * 64, dtype="float64", elements=["W"], dataset=dataset.id
    ).made_from("training data", "datasets", dataset.id)
    db.methods.add([later.sealed()])
    made = label(db, later, db.structures.one().id, "later")
    validation = compare(db, later.id, dft.id).validation
    found = stale(db)
    assert later.id in found["methods"]
    assert made.id in found["calculations"]
    assert validation.id in found["validations"]
    db.validations.raw.delete_one({"_id": validation.id})
    db.calculations.raw.delete_one({"_id": made.id})
    db.methods.raw.delete_one({"_id": later.id})


def test_overlapping_taints_are_taken_back_one_by_one(story):
    db, _, dataset, model = story
    one, other = members(db, dataset, "train")[:2]
    set_taint(db, "calculations", one, "first")
    set_taint(db, "datasets", dataset.id, "second")
    set_taint(db, "calculations", other, "third")
    reason = stale_among(db, "datasets", [dataset.id])[dataset.id]
    assert reason.split("; ") == [
        "tainted: second",
        f"from calculations {one[:10]}, tainted: first",
        f"from calculations {other[:10]}, tainted: third",
    ]
    remove_taint(db, dataset.id)
    assert model.id in stale(db)["methods"]
    remove_taint(db, one)
    assert stale_among(db, "methods", [model.id])[model.id].endswith("tainted: third")
    remove_taint(db, other)
    assert not any(stale(db).values())


def test_a_new_reason_takes_the_place_of_the_old(story):
    db, _, dataset, _ = story
    set_taint(db, "datasets", dataset.id, "one")
    set_taint(db, "datasets", dataset.id, " two ")
    assert stale_among(db, "datasets", [dataset.id]) == {dataset.id: "tainted: two"}


def test_the_next_version_leaves_the_bad_record_out_and_is_sound(story):
    db, _, dataset, _ = story
    bad = members(db, dataset, "train")[0]
    set_taint(db, "calculations", bad, "not converged")
    mended = build_dataset(db, "d", {})
    assert mended.parent == dataset.id
    row = db.members.one(dataset=mended.id, calculation=bad)
    assert (row.split, row.step, row.reason) == (DROPPED, "not-stale", "tainted: not converged")
    assert stale_among(db, "datasets", [dataset.id, mended.id]).keys() == {dataset.id}
    remove_taint(db, bad)
    assert build_dataset(db, "d", {}).id == dataset.id


def test_many_records_are_judged_in_batches(story, monkeypatch):
    db, dft, _, _ = story
    set_taint(db, "methods", dft.id, "wrong cutoff")
    whole = stale(db)
    monkeypatch.setattr(taints, "RECORDS_AT_ONCE", 7)
    assert stale(db) == whole


def test_what_cannot_be_tainted_is_said(story):
    db, _, dataset, _ = story
    with pytest.raises(InputError, match="needs a reason"):
        set_taint(db, "datasets", dataset.id, "  ")
    with pytest.raises(NotFoundError, match="calculations has no record 0000000000"):
        set_taint(db, "calculations", "0" * 64, "why")
    with pytest.raises(InputError, match="labels cannot be tainted"):
        set_taint(db, "labels", "name:x", "why")
    with pytest.raises(NotFoundError, match="no taint on"):
        remove_taint(db, dataset.id)
