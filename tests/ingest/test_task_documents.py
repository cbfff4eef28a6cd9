"""Task documents of DFT jobs: files of them, as the jobs left them."""

import copy
import json
import sys

import pytest
from ase import Atoms

from forcebase.ingest.importing import import_paths
from forcebase.ingest.task_documents import REQUIRED, is_task_document
from forcebase.records import Structure


@pytest.fixture(scope="module")
def document(data_folder):
    path = data_folder.parent / "wse2_gpaw_new" / "0000.json"
    return json.loads(path.read_text())


def imported_document(db, folder, document, name="job.json"):
    (folder / name).write_text(json.dumps(document))
    return import_paths(db, [folder / name])


def test_a_document_becomes_a_calculation_with_what_its_flow_knew(db, tmp_path, document):
    assert imported_document(db, tmp_path, document).failed == []
    calculation, structure = db.calculations.one(), db.structures.one()
    output, drawn = document["output"], document["metadata"]["forcebase"]
    assert calculation.energy == output["energy"]
    assert calculation.forces.tolist() == output["forces"]
    assert calculation.stress.tolist() == output["stress"]
    assert list(calculation.k_mesh) == output["k_mesh"]
    assert calculation.wall_time == output["wall_time"]
    assert (structure.family, structure.kind) == (drawn["family"], drawn["kind"])
    assert structure.recipe["seed"] == drawn["recipe"]["seed"]
    assert calculation.code_version == "26.7.0"


def test_the_output_alone_is_enough(db, tmp_path, document):
    assert imported_document(db, tmp_path, document["output"]).failed == []
    assert db.structures.one().family == db.structures.one().id


def test_it_is_of_the_method_of_the_first_data(db, tmp_path, document, imported):
    """Else the two could not meet in one dataset."""
    imported(db, "wse2_gpaw_unitcell.extxyz")
    imported_document(db, tmp_path, document)
    assert db.methods.count() == 1
    family = document["metadata"]["forcebase"]["family"]
    parent = document["metadata"]["forcebase"]["recipe"]["parent"]
    assert db.structures.get(parent).kind == "pristine-1x1"
    assert family != parent


def test_what_it_must_have(document):
    assert is_task_document(document["output"])
    for name in REQUIRED:
        assert not is_task_document({k: v for k, v in document["output"].items() if k != name})


def _changed(name, value):
    def change(document):
        document["output"][name] = value

    return change


def _unknown_method_field(document):
    document["output"]["method"]["colour"] = "red"


def _method_without_code(document):
    del document["output"]["method"]["code"]


def _lost_atom(document):
    document["output"]["structure"]["sites"].pop()


BAD = {
    "forces of other shape": _changed("forces", [[0.0, 0.0, 0.0]]),
    "ragged forces": _changed("forces", [[0.0, 0.0], [0.0]]),
    "NaN energy": _changed("energy", float("nan")),
    "text energy": _changed("energy", "low"),
    "no energy": _changed("energy", None),
    "stress of nine": _changed("stress", [0.0] * 9),
    "method is text": _changed("method", "PBE"),
    "structure is text": _changed("structure", "WSe2"),
    "k-mesh is text": _changed("k_mesh", "dense"),
    "converged is text": _changed("converged", "yes"),
    "unknown field": _unknown_method_field,
    "half a method": _method_without_code,
    "lost atom": _lost_atom,
}


def test_bad_documents_are_named_in_one_line_and_nothing_is_written(db, tmp_path, document):
    for what, spoil in BAD.items():
        bad = copy.deepcopy(document)
        spoil(bad)
        report = imported_document(db, tmp_path, bad)
        assert len(report.failed) == 1, what
        reason = report.failed[0][1]
        assert "job.json" in reason, (what, reason)
        assert "\n" not in reason, (what, reason)
        assert db.structures.count() == db.calculations.count() == db.methods.count() == 0, what


@pytest.fixture
def high_recursion_limit():
    """As symfc leaves it, which phonopy imports."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


def test_json_that_is_no_task_document(db, tmp_path, high_recursion_limit):
    path = tmp_path / "job.json"
    deep = "[" * 100_000
    for content in (
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b'{"output": 3}',
        b'"text"',
        b"\xff\xfe",
        b"{}",
        deep.encode(),
    ):
        path.write_bytes(content)
        report = import_paths(db, [path])
        assert len(report.failed) == 1, content[:20]
        assert "job.json" in report.failed[0][1]
        assert "\n" not in report.failed[0][1]
    assert db.activities.count() == 0


def test_geometry_alone_names_the_structure(document):
    """pymatgen's dict and ASE's Atoms give the same id."""
    from forcebase.ingest.atoms import plain_atoms

    atoms = plain_atoms(document["output"]["structure"])
    again = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
    assert Structure.geometry_id(again) == Structure.from_atoms(atoms).id
