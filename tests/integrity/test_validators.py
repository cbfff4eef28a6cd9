"""The server itself refuses what is malformed, in every collection, from plain pymongo."""

from copy import deepcopy

import pytest
from bson import MinKey
from pymongo.errors import WriteError

from forcebase.database.label_blocks import labels_of
from forcebase.database.schema import collection_schemas
from forcebase.records import Equivalence
from forcebase.records.kinds import kinds

REFUSED = "Document failed validation"


@pytest.fixture(scope="module")
def samples(filled):
    """A stored document of each class, by collection; a taint among them."""
    member = filled.raw["dataset_members"].find_one({"step": {"$exists": True}})
    taint = {"_id": "a" * 64, "collection": "datasets", "reason": "bad", "set_at": None}
    taint["set_at"] = filled.raw["datasets"].find_one()["created_at"]
    found = {name: [place.raw.find_one()] for name, place in filled.record_collections.items()}
    found["methods"] = [
        filled.raw["methods"].find_one({"_cls": name})
        for name in ("Method.DFTMethod", "Method.ModelMethod")
    ]
    labels_of(
        filled, filled.methods.one({"_cls": "Method.DFTMethod"}).id, ""
    )  # keeps a block of them
    others = ("activities", "labels", "label_blocks")
    found |= {name: [filled.raw[name].find_one()] for name in others}
    found["equivalences"] = [Equivalence.of("a" * 64, "b" * 64, "alike").to_mongo().to_dict()]
    found["quarantine"] = [{"_id": "b" * 64, "origin": "a.zip", "since": taint["set_at"]}]
    said = {"_id": "c", "act": "name", "at": taint["set_at"], "text": "x", "records": ["b" * 64]}
    found["journal"] = [{**said, "collection": "methods", "user": "me", "host": "here"}]
    return {**found, "dataset_members": [member], "taints": [{**taint, "reached": [], "clear": []}]}


@pytest.mark.parametrize("name", sorted(collection_schemas()))
def test_every_field_of_every_collection_has_a_type_that_is_kept(db, samples, name):
    for sample in samples[name]:
        db.raw[name].insert_one(deepcopy(sample))
        db.raw[name].delete_many({})
        for field in sample.keys() - {"_id"}:
            with pytest.raises(WriteError, match=REFUSED):
                db.raw[name].insert_one({**sample, field: MinKey()})


@pytest.mark.parametrize("name", sorted(collection_schemas()))
def test_what_is_required_cannot_be_left_out_and_nothing_be_added(db, samples, name):
    for sample in samples[name]:
        schema = collection_schemas()[name]
        one = [s for s in schema.get("oneOf", [schema]) if fits(s, sample)]
        required = set(one[0]["required"]) - {"_id"}
        assert required
        for field in required:
            lacking = {key: value for key, value in sample.items() if key != field}
            with pytest.raises(WriteError, match=REFUSED):
                db.raw[name].insert_one(lacking)
        with pytest.raises(WriteError, match=REFUSED):
            db.raw[name].insert_one({**sample, "comment": "?"})
    assert db.raw[name].count_documents({}) == 0


def fits(schema, sample):
    return schema["title"] == sample.get("_cls", schema["title"]).rpartition(".")[2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused(db, samples, value):
    [sample] = samples["calculations"]
    for field in ("energy", "max_force"):
        with pytest.raises(WriteError, match=REFUSED):
            db.raw["calculations"].insert_one({**sample, field: value})


@pytest.mark.parametrize(
    ("name", "field"), [("labels", "text"), ("taints", "reason"), ("datasets", "name")]
)
def test_a_word_that_is_empty_is_refused(db, samples, name, field):
    [sample] = samples[name]
    with pytest.raises(WriteError, match=REFUSED):
        db.raw[name].insert_one({**sample, field: ""})


def test_no_class_of_documents_is_without_a_collection_that_is_kept(db):
    places = {p["name"]: p["options"] for p in db.raw.list_collections()}
    names = {kind.name for kind in kinds()}
    assert names <= places.keys()
    assert all("$jsonSchema" in places[name]["validator"] for name in names)
