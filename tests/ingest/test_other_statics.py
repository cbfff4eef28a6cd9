"""Statics of atomate2 in GPAW's place: `collect` makes records of them by itself."""

from __future__ import annotations

import json

import pytest
import yaml
from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from jobflow import JobStore, run_locally
from pymatgen.core import Lattice, Structure
from tests.ingest.test_collect import put
from tests.ingest.test_job_stores import vasp_document

from forcebase.database.connection import server_uri
from forcebase.database.job_store import INDEXES
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.outputs import model_batch
from forcebase.makers.sampling import LabelStructuresMaker
from forcebase.records import Activity

DRAWN = {
    "kind": "pristine-2x2",
    "family": "f" * 64,
    "recipe": {"operation": "rattle", "parameters": {"std": 0.05}, "seed": 7, "parent": "a" * 64},
}
METADATA = {"forcebase": DRAWN}


@pytest.fixture
def model(db, quick_model):
    batch = model_batch(db, quick_model.output | {"dataset": None, "dataset_job": None})
    batch.write(db, Activity(id="model", kind="import", name="model"))
    db.names.name("quick", "methods", batch.methods[0].id)
    return batch.methods[0]


def check_drawn(db, method_class):
    (calculation,) = db.calculations.find(method_class=method_class)
    structure = db.structures.get(calculation.structure)
    assert (structure.kind, structure.family) == (DRAWN["kind"], DRAWN["family"])
    assert dict(structure.recipe) == DRAWN["recipe"]
    assert calculation.kind == DRAWN["kind"]
    edges = {(edge.role, edge.record) for edge in structure.provenance.edges}
    assert edges == {("parent", "a" * 64)}
    return calculation


def test_a_static_of_vasp_has_kind_recipe_and_parent(db):
    put(db, vasp_document()["output"], "static", METADATA)
    report = collect(db)
    assert (report.jobs, report.failed, report.unknown) == (1, [], [])
    calculation = check_drawn(db, "dft")
    assert db.methods.get(calculation.method).code == "vasp"
    assert db.activities.get(calculation.provenance.activity).kind == "job"
    assert collect(db).added == {}


def test_collect_and_import_read_a_document_alike(db, new_database, tmp_path):
    document = vasp_document() | {"metadata": METADATA}
    path = tmp_path / "documents.json"

    path.write_text(json.dumps([document], default=str))
    other = new_database()
    import_paths(other, [path])
    put(db, document["output"], "static", METADATA)
    collect(db)
    for name in ("structures", "methods", "calculations"):
        ours, theirs = (sorted(d.raw[name].distinct("_id")) for d in (db, other))
        assert ours == theirs
    check_drawn(other, "dft")


@pytest.fixture
def weights(tmp_path, quick_model):
    path = tmp_path / "quick.model"
    path.write_bytes(quick_model.output["weights"].data)
    return path


def label(db, weights):
    """One structure labelled by atomate2's own maker, in the flow that labels with GPAW."""
    cell = Structure(
        Lattice.hexagonal(3.31, 16),
        ["W", "Se", "Se"],
        [[0, 0, 0.5], [1 / 3, 2 / 3, 0.605], [1 / 3, 2 / 3, 0.395]],
    )
    kwargs = {"model": str(weights), "default_dtype": "float64", "device": "cpu"}
    maker = ForceFieldRelaxMaker(
        force_field_name="MACE", steps=1, relax_cell=False, calculator_kwargs=kwargs
    )
    made = {"structure": cell.as_dict(), **DRAWN}
    work = LabelStructuresMaker(static_maker=maker).make({"structures": [made]})
    run_locally(work, store=db.job_store, log=False, raise_immediately=True)


def test_a_static_of_a_force_field_finds_its_model_by_its_weights(db, model, weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    label(db, weights)
    report = collect(db)
    assert report.failed == []
    calculation = check_drawn(db, "model")
    assert calculation.method == model.id


def test_of_a_model_that_is_not_there_nothing_is_made(db, weights, monkeypatch):
    monkeypatch.chdir(weights.parent)
    label(db, weights)
    report = collect(db)
    ((_, reason),) = report.failed
    assert "no models of the database have its weights" in reason
    assert db.calculations.count() == 0


def test_a_document_that_does_not_say_its_weights_is_noted(db):
    output = {"forcefield_name": "MACE", "output": {"energy": 1.0}, "structure": {}}
    put(db, output, "relax")
    report = collect(db)
    assert report.failed == []
    assert "which weights" in report.notes[0][1]


def cp2k_document(folder) -> dict:
    """The fields by which atomate2's CP2K document is told, and where its run lies."""
    run = {"cp2k_version": "2024.1", "input": {}, "output": {"energy": -1.0}}
    return {"calcs_reversed": [run], "dir_name": f"node7:{folder}", "structure": {}}


def test_a_static_of_cp2k_is_read_where_it_ran(db, pytestconfig):
    folder = pytestconfig.rootpath / "tests" / "data" / "codes" / "cp2k"
    put(db, cp2k_document(folder), "cp2k static", METADATA)
    report = collect(db)
    assert (report.jobs, report.failed) == (1, [])
    calculation = check_drawn(db, "dft")
    assert db.methods.get(calculation.method).code == "cp2k"


def test_a_static_of_cp2k_whose_folder_is_elsewhere_says_so(db, tmp_path):
    put(db, cp2k_document(tmp_path / "purged"), "cp2k static", METADATA)
    ((_, reason),) = collect(db).failed
    assert "is not here" in reason
    assert "forcebase import" in reason


def state(db, name):
    """Collections of a database of MongoDB with their indexes and sizes."""
    theirs = db.client[name]
    return {
        place: (sorted(theirs[place].index_information()), theirs[place].count_documents({}))
        for place in sorted(theirs.list_collection_names())
    }


@pytest.fixture
def group_store(db, tmp_path):
    """A group's JobStore on the server, with a document whose heavy part is beside it."""
    name = f"{db.settings.database}_theirs"
    uri = server_uri(db.settings)
    spec = {
        "docs_store": {
            "type": "MongoURIStore",
            "database": name,
            "collection_name": "outputs",
            "uri": uri,
        },
        "additional_stores": {
            "data": {
                "type": "GridFSURIStore",
                "database": name,
                "collection_name": "outputs_blobs",
                "uri": uri,
            }
        },
    }
    store = JobStore.from_dict_spec({**spec, "docs_store": {**spec["docs_store"]}})
    document = vasp_document()
    with store:
        store.update(document, save={"data": ["calcs_reversed"]})
    db.client[name]["outputs"].drop_indexes()
    path = tmp_path / "jobflow.yaml"
    path.write_text(yaml.safe_dump({"JOB_STORE": spec}))
    yield path, name
    db.client.drop_database(name)


def test_a_store_of_a_group_is_read_without_writing_to_it(db, group_store):
    path, name = group_store
    before = state(db, name)
    report = import_paths(db, [path])
    assert (report.failed, report.added["calculations"]) == ([], 1)
    assert state(db, name) == before


def test_with_leave_the_index_that_reading_needs_is_made(db, group_store):
    path, name = group_store
    before = state(db, name)
    assert import_paths(db, [path], options=ImportOptions(may_write=True)).failed == []
    after = state(db, name)
    assert "metadata.blob_uuid_1" in after["outputs_blobs.files"][0]
    assert {place: n for place, (_, n) in after.items()} == {
        place: n for place, (_, n) in before.items()
    }


def test_outputs_have_the_indexes_that_collecting_asks_for(db):
    found = set(db.raw["outputs"].index_information())
    assert {"_".join(f"{field}_1" for field in fields) for fields in INDEXES} <= found
    plan = db.raw["outputs"].find({"uuid": "a", "index": 1}).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
