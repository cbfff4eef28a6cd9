"""Datasets and comparisons on a text of the filter language; none of it reaches MongoDB as code."""

import json

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare
from forcebase.curation.recipe import read_recipe
from forcebase.datasets.candidacy import unmet_filters
from forcebase.datasets.recipe import recipe_of
from forcebase.errors import InputError

TEXT = 'method = "pbe" AND max_force < 3 AND nsites = 3'


@pytest.fixture(scope="module")
def db(new_database, imported):
    db = new_database()
    imported(db, "wse2_gpaw_unitcell.extxyz", "wse2_gpaw_pbe.extxyz")
    db.names.name("pbe", "methods", db.methods.one().id)
    return db


def test_a_dataset_of_a_text_keeps_it_and_is_found_again(db):
    dataset = build_dataset(db, "weak", {"query": TEXT, "elements": ["Se", "W"]})
    members = {m.calculation for m in db.members.find(dataset=dataset.id)}
    assert members == {c.id for c in db.calculations.find(TEXT)} != set()
    assert dataset.query["filters"]["query"] == TEXT
    assert build_dataset(db, "weak", {"query": TEXT, "elements": ["Se", "W"]}).id == dataset.id
    again = recipe_of(dataset)
    assert again.filters["query"] == TEXT
    assert build_dataset(db, "weak", {}, recipe=again).id == dataset.id
    strong = db.calculations.find("nsites = 3", sort="-max_force", limit=1)[0]
    assert strong.max_force >= 3
    assert unmet_filters(db, strong.id, dataset) == [f"it is not as the filter says: {TEXT}"]


def test_the_name_of_a_method_stands_for_it(db):
    named = build_dataset(db, "named", {"method": "pbe", "nsites": 3})
    assert named.method == db.methods.one().id
    assert named.query["filters"]["method"] == named.method


@pytest.mark.parametrize(
    "filters",
    [
        {"query": {"$where": "sleep(10000) || true"}},
        {"kind": {"$where": "true"}},
        {"kind": {"$regex": "."}},
        {"kind": [{"$regex": "."}]},
        {"$where": "true"},
        {"$or": [{"kind": "x"}]},
        {"query": ["kind"]},
        {"query": "$where = 1"},
    ],
    ids=str,
)
def test_a_recipe_or_a_dataset_from_elsewhere_holds_no_code(db, tmp_path, filters):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({"filters": filters}))
    with pytest.raises(InputError):
        build_dataset(db, "bad", {}, recipe=read_recipe(path))
    dataset = build_dataset(db, "kept", {"nsites": 3})
    dataset.query["filters"] = filters
    with pytest.raises(InputError):
        unmet_filters(db, db.calculations.one().id, dataset)


def test_methods_are_compared_on_a_text(db):
    text = "max_force < 3 AND nsites = 3"
    found = compare(db, "pbe", "pbe", text)
    assert found.validation.n == db.calculations.count(text)
    assert found.validation.on["query"] == {"filter": text}
    more = compare(db, "pbe", "pbe", {"query": "max_force < 3", "kind": "pristine-1x1"})
    assert more.validation.on["query"] == {"filter": "kind=pristine-1x1 max_force < 3"}
