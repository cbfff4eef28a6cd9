"""The database: whatever a user types finds one record, or words that help."""

import pytest
from ase.build import bulk

from forcebase.database.database import Database
from forcebase.database.installation import META, migrate
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.errors import DatabaseError, InputError, NotFoundError
from forcebase.records import Dataset, DFTMethod, ModelMethod, Structure

DIGESTS = ["a" * 64, "b" * 64]


@pytest.fixture
def structure(db):
    record = Structure.from_atoms(bulk("Cu"))
    db.structures.add([record])
    return record


@pytest.fixture
def model(db):
    record = ModelMethod(kind="MACE", weights="c" * 64, dtype="float64", elements=["Cu"]).sealed()
    db.methods.add([record])
    return record


@pytest.fixture
def versions(db):
    made = [
        Dataset(
            name="copper",
            version=version,
            method="a" * 64,
            members_root="b" * 64,
            counts={"train": 1},
            e0s={"Cu": -1.0},
            e0s_source="given",
        ).sealed()
        for version in (1, 2, 10)
    ]
    db.datasets.add(made)
    return made


def twins(db, structure, prefix="abcd"):
    """Two records whose ids begin alike."""
    stored = db.structures.raw.find_one({"_id": structure.id})
    ids = [prefix + tail * 60 for tail in "12"]
    db.structures.raw.insert_many([{**stored, "_id": name} for name in ids])
    return ids


def test_an_id_and_its_first_digits(db, structure):
    for text in (structure.id, structure.id[:10], structure.id[:4]):
        place, found = db.resolve(text)
        assert (place, found.id) == ("structures", structure.id)


def test_digits_of_more_than_one_record_are_not_guessed(db, structure):
    ids = twins(db, structure)
    with pytest.raises(NotFoundError, match="more than one record") as failure:
        db.resolve("abcd")
    assert all(name[:12] in str(failure.value) for name in ids)
    assert db.resolve("abcd1")[1].id == ids[0]
    assert db.resolve(ids[1])[1].id == ids[1]


@pytest.mark.parametrize("text", ["", "abc", "nothing", "ffffffff", "*", "^a", "copper@9", "@1"])
def test_what_nothing_answers_to_is_said(db, structure, versions, text):
    with pytest.raises(NotFoundError, match=r"No record matches"):
        db.resolve(text)


def test_a_name_is_before_an_id_of_the_same_letters(db, structure, model):
    db.names.name(structure.id[:6], "methods", model.id)
    assert db.resolve(structure.id[:6])[1].id == model.id
    assert db.resolve(structure.id[:6], "structures")[1].id == structure.id


def test_datasets_answer_to_their_name_and_version(db, versions):
    assert db.resolve("copper@1")[1].id == versions[0].id
    assert db.resolve("copper@10")[1].id == versions[2].id
    assert db.resolve("copper")[1].version == 10, "the newest, by number and not by letters"
    with pytest.raises(NotFoundError):
        db.resolve("copper", "structures")


def test_a_tag_of_one_record_finds_it_and_of_two_does_not(db, structure, model):
    db.names.tag("mine", "structures", structure.id)
    assert db.resolve("mine")[1].id == structure.id
    db.names.tag("mine", "methods", model.id)
    assert db.resolve("mine", "methods")[1].id == model.id
    with pytest.raises(NotFoundError, match="more than one record"):
        db.resolve("mine")


def test_a_label_of_a_record_that_is_gone_is_said(db):
    db.names.name("gone", "methods", DIGESTS[0])
    with pytest.raises(NotFoundError, match="methods has no record aaaa"):
        db.resolve("gone")


def test_a_model_is_asked_for_and_a_dft_method_is_not_one(db, model):
    assert db.require_model(model.id[:8]).id == model.id
    dft = DFTMethod(
        code="gpaw",
        code_version="1",
        functional="PBE",
        basis={"cutoff_eV": 350.0},
        pseudopotentials={"type": "PAW"},
        k_points={"spacing_per_A": 0.4},
        smearing={"width_eV": 0.01},
        spin="none",
        dispersion="none",
        spin_orbit=False,
    ).sealed()
    db.methods.add([dft])
    with pytest.raises(InputError, match="is a DFT method"):
        db.require_model(dft.id)


def test_an_unknown_collection_is_said(db):
    with pytest.raises(NotFoundError, match=r"no collection 'structure'.*structures") as failure:
        db.collection("structure")
    assert failure.value.exit_code == 3


def test_a_second_connection_finds_the_same_and_changes_nothing(db, structure):
    before = db.raw.command("listCollections")["cursor"]["firstBatch"]
    again = Database(db.settings)
    assert again.structures.get(structure.id).id == structure.id
    assert db.raw.command("listCollections")["cursor"]["firstBatch"] == before
    again.close()


def test_a_database_of_a_newer_forcebase_is_left_alone(db):
    db.raw[META].update_one({"_id": "schema"}, {"$set": {"version": 1000}})
    with pytest.raises(DatabaseError, match="schema version 1000") as failure:
        Database(db.settings)
    assert "Upgrade" in failure.value.hint
    assert db.raw[META].find_one()["version"] == 1000


def test_an_older_database_is_left_as_it_is_and_migrated_by_its_command(db):
    """As version 1 left it: validators without the new fields of phonons, and no such indexes."""
    db.raw[META].replace_one({"_id": "schema"}, {"version": 1})
    db.raw.command("collMod", "phonons", validator={"$jsonSchema": {"bsonType": "object"}})
    db.raw["phonons"].drop_index("defect.host_1")
    before = db.raw.command("dbHash")["md5"]
    with pytest.raises(DatabaseError, match=r"version 1; .* Nothing was changed") as failure:
        Database(db.settings)
    assert "forcebase db migrate" in failure.value.hint
    assert db.raw.command("dbHash")["md5"] == before
    assert migrate(db.raw) == 1
    assert [(row["_id"], row["version"]) for row in db.raw[META].find()] == [
        ("schema", SCHEMA_VERSION)
    ]
    assert migrate(db.raw) is None
    (phonons,) = db.raw.list_collections(filter={"name": "phonons"})
    fields = phonons["options"]["validator"]["$jsonSchema"]["properties"]
    assert {"defect", "findings"} <= set(fields)
    assert "defect.host_1" in db.raw["phonons"].index_information()


def test_an_installation_that_was_cut_off_is_finished(db):
    db.raw[META].drop()
    db.raw.drop_collection("phonons")
    db.raw.command("collMod", "structures", validator={})
    Database(db.settings).close()
    assert "phonons" in db.raw.list_collection_names()
    assert db.structures.raw.options()["validator"]["$jsonSchema"]["title"] == "Structure"
