"""Published records reach a job as any other job's output would, byte by byte."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase.build import bulk
from jobflow import Flow, job, run_locally

from forcebase.blob import Blob
from forcebase.database.publishing import publish_dataset, publish_frames, publish_model
from forcebase.errors import IntegrityError, ModelError, NotFoundError
from forcebase.frames import Frames
from forcebase.records import Dataset, DatasetMember, ModelMethod

WEIGHTS = bytes(range(256)) * 4000


@job(data=[Blob])
def weigh(model):
    """As a maker: unpack what came, and give some of it back."""
    blob = model["weights"]
    return {"kind": type(blob).__name__, "sha256": blob.sha256, "again": blob, "e0s": model["e0s"]}


@job
def measure(candidates):
    frames = Frames.from_blob(candidates["frames"])
    return {"n": len(frames), "positions": frames.positions.tobytes().hex()}


@job
def count_members(dataset):
    return [member["split"] for member in dataset["members"]]


@pytest.fixture
def model(db):
    record = ModelMethod(
        kind="ASE",
        weights=db.blobs.put(WEIGHTS),
        dtype="float64",
        elements=["Cu"],
        e0s={"Cu": -1.25},
        hyperparameters={"r_max": 5.0, "nested": {"list": [1, 2.5]}},
        golden_probe={"energy": 1e-17, "forces": [[0.1, 0.2, 0.3]]},
        seed=3,
    ).sealed()
    db.methods.add([record])
    return record


@pytest.fixture
def frames():
    atoms = [bulk("Cu", a=np.nextafter(3.6, 4)), bulk("Cu", a=3.7).repeat(2)]
    return Frames.from_atoms(atoms, ids=["one", "two"], energies=[-1.0, np.nan])


@pytest.fixture
def dataset(db):
    record = Dataset(
        name="copper",
        version=1,
        method="a" * 64,
        members_root="b" * 64,
        counts={"train": 1},
        e0s={"Cu": -1.0},
        e0s_source="given",
    ).sealed()
    splits = {"1": "train", "2": "test", "3": "dropped"}
    db.datasets.add([record])
    db.members.add(
        [
            DatasetMember(
                id=f"{record.id}:{number * 64}",
                dataset=record.id,
                calculation=number * 64,
                structure="c" * 64,
                family="f",
                split=split,
            )
            for number, split in splits.items()
        ]
    )
    return record


def run(db, made):
    """Run a job on this database's JobStore; give its output."""
    uuid = made.uuid
    run_locally(
        Flow([made]),
        store=db.job_store,
        allow_external_references=True,
        ensure_success=True,
        log=False,
    )
    return db.job_store.get_output(uuid, load=True)


def stored(db, reference):
    return db.job_store.get_output(reference.uuid, load=True)


def test_a_mace_goes_to_jobs_in_its_neutral_form_alone(db):
    """Whose bytes are checked where they are loaded; one that has none does not set out."""
    told = {"kind": "MACE", "dtype": "float64", "elements": ["Cu"]}
    bare = ModelMethod(weights=db.blobs.put(b"a pickle"), **told).sealed()
    with pytest.raises(ModelError, match="has no neutral form"):
        publish_model(db, bare)
    neutral = db.blobs.put(b"numbers")
    whole = ModelMethod(weights=bare.weights, neutral=neutral, **told).sealed()
    output = stored(db, publish_model(db, whole))
    assert output["weights"] is None
    assert output["weights_sha256"] == bare.weights
    assert Blob.from_dict(output["neutral"]).sha256 == neutral


def test_a_model_reaches_a_job_byte_by_byte(db, model):
    output = run(db, weigh(publish_model(db, model)))
    assert output["kind"] == "Blob"
    assert output["sha256"] == model.weights
    again = output["again"]
    assert (again if isinstance(again, Blob) else Blob.from_dict(again)).data == WEIGHTS
    assert output["e0s"] == {"Cu": -1.25}


def test_a_published_model_holds_plain_data_in_the_shape_of_the_contract(db, model):
    output = stored(db, publish_model(db, model))
    assert output["forcebase"] == "model"
    assert output["hyperparameters"] == {"r_max": 5.0, "nested": {"list": [1, 2.5]}}
    assert output["golden_probe"]["energy"] == 1e-17
    assert output["weights_sha256"] == model.weights


def test_heavy_things_are_not_in_the_document(db, model):
    reference = publish_model(db, model)
    document = db.job_store.query_one({"uuid": reference.uuid}, load=False)
    assert len(str(document)) < 5000
    assert db.raw["data.files"].count_documents({}) == 1


def test_frames_reach_a_job_byte_by_byte(db, frames):
    output = run(db, measure(publish_frames(db, frames)))
    assert output == {"n": 2, "positions": frames.positions.tobytes().hex()}


def test_a_dataset_reaches_a_job_without_what_was_dropped(db, dataset):
    assert run(db, count_members(publish_dataset(db, dataset))) == ["train", "test"]


def test_publishing_twice_is_one_document_and_one_reference(db, model, frames, dataset):
    for publish, record in (
        (publish_model, model),
        (publish_frames, frames),
        (publish_dataset, dataset),
    ):
        first, second = publish(db, record), publish(db, record)
        assert first.uuid == second.uuid
        assert db.job_store.count({"uuid": first.uuid}) == 1
    assert len({publish_frames(db, frames).uuid, publish_frames(db, frames.take([0])).uuid}) == 2


def test_of_two_who_publish_at_once_the_first_counts_and_nothing_is_left_over(db, frames):
    with ThreadPoolExecutor(4) as pool:
        references = list(pool.map(lambda _: publish_frames(db, frames), range(8)))
    assert len({reference.uuid for reference in references}) == 1
    assert db.raw["outputs"].count_documents({}) == 1
    assert db.raw["data.files"].count_documents({}) == 1
    assert frames_of(db, references[0]).ids.tolist() == ["one", "two"]


def test_what_was_left_without_its_heavy_part_is_published_again(db, frames):
    """A document alone, as a killed process of an earlier version left it."""
    reference = publish_frames(db, frames)
    db.raw["data.files"].delete_many({})
    assert publish_frames(db, frames) == reference
    assert db.raw["outputs"].count_documents({}) == 1
    assert frames_of(db, reference).ids.tolist() == ["one", "two"]


def frames_of(db, reference):
    output = stored(db, reference)
    return Frames.from_blob(Blob.from_dict(output["frames"]))


def test_a_model_whose_weights_are_gone_or_changed_is_not_published(db, model):
    db.raw["blobs.chunks"].update_many({}, {"$set": {"data": b"x" * 261120}})
    with pytest.raises(IntegrityError):
        publish_model(db, model)
    db.raw["blobs.files"].delete_many({})
    with pytest.raises(NotFoundError):
        publish_model(db, model)
    assert db.job_store.count() == 0
