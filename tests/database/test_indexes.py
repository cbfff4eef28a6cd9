"""Indexes of an older database are brought into step."""

from forcebase.database.installation import META, NARROW_INDEXES, migrate


def test_wider_indexes_take_the_place_of_those_of_schema_4(db):
    db.raw[META].replace_one({"_id": "schema"}, {"version": 4})
    db.raw.drop_collection("label_blocks")
    for name, index in NARROW_INDEXES.items():
        fields = index.removesuffix("_1").split("_1_")
        assert db.raw[name].create_index([(field, 1) for field in fields]) == index
    calculations = db.raw["calculations"]
    calculations.drop_index("method_1_structure_1__id_1")
    migrate(db.raw)
    assert "method_1_structure_1__id_1" in calculations.index_information()
    for name, narrow in NARROW_INDEXES.items():
        found = set(db.raw[name].index_information())
        assert narrow not in found
        assert any(index.startswith(narrow) for index in found)
    assert "label_blocks" in db.raw.list_collection_names()


def test_few_records_pay_for_the_index_of_what_did_not_converge(db):
    index = db.raw["calculations"].index_information()["converged_1"]
    assert index["partialFilterExpression"] == {"converged": False}
