"""The contract of each collection: in step with the code, and kept by the server itself."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from bson import Binary
from mongoengine import FloatField
from pymongo.errors import WriteError

from forcebase.database.schema import collection_schemas
from forcebase.database.schema_files import REPAIR, differences, write
from forcebase.records import Calculation, DFTMethod, Structure
from forcebase.records.array_field import ArrayField
from forcebase.records.kinds import kinds

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.fixture
def stored():
    """A calculation as MongoDB stores it."""
    method = DFTMethod(
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
    record = Calculation.of(
        Structure.from_atoms(bulk("Cu")),
        method,
        energy=-3.0,
        forces=np.zeros((1, 3)),
        stress=np.zeros(6),
    )
    return record.to_mongo().to_dict()


def test_the_files_are_in_step_with_the_code():
    assert not differences(SCHEMAS), f"run: {REPAIR}"


def test_differences_see_what_changed_is_missing_or_left_over(tmp_path):
    write(tmp_path)
    assert differences(tmp_path) == []
    (tmp_path / "labels.json").unlink()
    (tmp_path / "methods.json").write_text("{}")
    (tmp_path / "ghosts.json").write_text("{}")
    assert differences(tmp_path) == ["ghosts.json", "labels.json", "methods.json"]
    write(tmp_path)
    assert differences(tmp_path) == []


def test_numbers_with_a_unit_say_which():
    unsaid = [
        f"{document.__name__}.{name}"
        for kind in kinds()
        for document in kind.classes
        for name, field in document._fields.items()
        if isinstance(field, (FloatField, ArrayField)) and not field.help_text
    ]
    assert not unsaid


def test_every_collection_says_what_it_holds():
    for name, schema in collection_schemas().items():
        for one in schema.get("oneOf", [schema]):
            assert one["description"].endswith((".", ";")), name


def test_a_whole_record_is_let_in_by_plain_pymongo(db, stored):
    db.raw["calculations"].insert_one(stored)
    assert db.calculations.get(stored["_id"]).energy == -3.0


def set_to(*path, value):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("energy"),
        lambda d: d.pop("provenance"),
        lambda d: d.pop("created_at"),
        set_to("energy", value="-3.0"),
        set_to("energy", value=None),
        set_to("enregy", value=-3.0),
        set_to("_id", value="not a digest"),
        set_to("structure", value="A" * 64),
        set_to("method_class", value="guess"),
        set_to("n_atoms", value=0),
        set_to("n_atoms", value=1.5),
        set_to("elements", value="Cu"),
        set_to("converged", value="yes"),
        set_to("forces", value=[[0.0, 0.0, 0.0]]),
        set_to("forces", "dtype", value="<f4"),
        set_to("forces", "shape", value=[3]),
        set_to("forces", "shape", value=[1, 2]),
        set_to("forces", "shape", value=[-1, 3]),
        set_to("forces", "data", value="text"),
        set_to("stress", value={"dtype": "<f8", "shape": [9], "data": Binary(b"0" * 72)}),
        set_to("provenance", "edges", 0, "role", value=7),
        set_to("provenance", "edges", 0, "comment", value="?"),
        set_to("k_mesh", value=[1, 1, "one"]),
    ],
)
def test_a_malformed_write_is_refused_by_the_server(db, stored, spoil):
    document = deepcopy(stored)
    spoil(document)
    with pytest.raises(WriteError, match="Document failed validation"):
        db.raw["calculations"].insert_one(document)


def test_a_record_that_is_there_cannot_be_spoiled_by_an_update(db, stored):
    db.raw["calculations"].insert_one(stored)
    with pytest.raises(WriteError, match="Document failed validation"):
        db.raw["calculations"].update_one({}, {"$unset": {"forces": 1}})


def test_a_method_is_either_dft_or_a_model(db):
    for kind in ("Method", "Method.DFTMethod", "Method.ModelMethod", "Method.Other"):
        with pytest.raises(WriteError, match="Document failed validation"):
            db.raw["methods"].insert_one({"_id": "a" * 64, "_cls": kind})
