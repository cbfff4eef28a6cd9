"""Other people's JobStores: documents that atomate2 really made, from JSON and by configuration."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ase
import numpy as np
import pytest
import yaml
from atomate2.forcefields.jobs import ForceFieldRelaxMaker
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import jsanitize
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from small_phonons import from_phonopy_yaml

from forcebase.blob import Blob
from forcebase.ingest.importing import import_paths
from forcebase.ingest.options import ImportOptions
from forcebase.ingest.outputs import model_batch
from forcebase.provenance import trace_up
from forcebase.records import Activity

VASPRUN = Path(ase.__file__).parent / "test" / "testdata" / "vasp" / "vasprun_dfpt.xml"


@pytest.fixture
def model(db, quick_model):
    batch = model_batch(db, quick_model.output | {"dataset": None, "dataset_job": None})
    batch.write(db, Activity(id="model", kind="import", name="model"))
    db.names.name("quick", "methods", batch.methods[0].id)
    return quick_model


@pytest.fixture
def force_field_documents(tmp_path, monkeypatch, model):
    """A static calculation by atomate2's own maker with the quick model's weights."""
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "quick.model"
    weights.write_bytes(model.output["weights"].data)
    cell = Structure(
        Lattice.hexagonal(3.31, 16),
        ["W", "Se", "Se"],
        [[0, 0, 0.5], [1 / 3, 2 / 3, 0.605], [1 / 3, 2 / 3, 0.395]],
    )
    maker = ForceFieldRelaxMaker(
        force_field_name="MACE",
        steps=1,
        relax_cell=False,
        calculator_kwargs={"model": str(weights), "default_dtype": "float64", "device": "cpu"},
    )
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(maker.make(cell), store=store, log=False)
    found = list(store.query({}, load=True))
    return [jsanitize({**d, "_id": str(d["_id"])}, strict=True) for d in found], cell


def written(folder: Path, documents: list) -> Path:
    path = folder / "documents.json"
    path.write_text(json.dumps(documents, default=str))
    return path


def test_force_field_documents_need_their_model(db, tmp_path, force_field_documents):
    documents, _ = force_field_documents
    path = written(tmp_path, documents)
    report = import_paths(db, [path])
    assert "which weights" in report.failed[0][1]
    assert report.added == {}
    report = import_paths(db, [path], options=ImportOptions(model="quick"))
    assert report.failed == []
    (calculation,) = db.calculations.find()
    assert calculation.method_class == "model"
    found = documents[0]["output"]["output"]
    assert calculation.energy == pytest.approx(found["energy"])
    np.testing.assert_allclose(calculation.forces, found["forces"])
    activity = db.activities.get(calculation.provenance.activity)
    assert activity.job["uuid"] == documents[0]["uuid"]
    assert activity.job["store"] == "documents.json"
    again = import_paths(db, [path], options=ImportOptions(model="quick"))
    assert again.added == {}


def vasp_document() -> dict:
    from emmet.core.vasp.calculation import CalculationInput
    from pymatgen.io.vasp.outputs import Vasprun

    run = Vasprun(VASPRUN, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    calculation = {
        "vasp_version": run.vasp_version,
        "run_type": run.run_type,
        "input": CalculationInput.from_vasprun(run).model_dump(),
        "output": {"ionic_steps": run.ionic_steps},
    }
    output = {"calcs_reversed": [calculation], "structure": run.final_structure}
    document = {"uuid": "11", "index": 1, "name": "static", "output": output}
    return jsanitize(document, strict=True)


def test_a_vasp_document_says_what_its_vasprun_says(db, tmp_path):
    import_paths(db, [VASPRUN])
    (direct,) = db.calculations.find()
    report = import_paths(db, [written(tmp_path, [vasp_document()])])
    assert report.failed == []
    assert db.methods.count() == 1
    for calculation in db.calculations.find():
        assert calculation.energy == pytest.approx(direct.energy, abs=1e-6)
        np.testing.assert_allclose(calculation.stress, direct.stress, atol=1e-8)


def test_hubbard_terms_of_a_vasp_document_make_another_method(db, tmp_path):
    plain, corrected, silent = (vasp_document() for _ in range(3))
    for document, uuid in ((plain, "11"), (corrected, "12"), (silent, "13")):
        document["uuid"] = uuid
    for document in (corrected, silent):
        (run,) = document["output"]["calcs_reversed"]
        run["input"] |= {"is_hubbard": True, "hubbards": {"Na": 2.0, "Cl": 0.0}}
        run["run_type"] += "+U"
    silent["output"]["calcs_reversed"][0]["input"]["hubbards"] = None
    report = import_paths(db, [written(tmp_path, [plain, corrected, silent])])
    ((name, reason),) = report.failed
    assert name == "static (13)"
    assert "Hubbard" in reason
    found = [(dict(m.plus_u or {}), m.functional) for m in db.methods.find()]
    assert len(found) == 2
    assert found[0][1] == found[1][1]
    assert {"scheme": "Dudarev"} in [scheme for scheme, _ in found]
    terms = [c.plus_u for c in db.calculations.find()]
    assert {"Na": {"u_eV": 2.0, "j_eV": 0.0, "l": 2}} in terms


@pytest.mark.parametrize(
    ("electrons", "stated", "charge"), [(None, None, 0.0), (7.0, 1.0, 1.0), (7.0, None, None)]
)
def test_the_charge_of_a_vasp_document(db, tmp_path, electrons, stated, charge):
    document = vasp_document()
    (run,) = document["output"]["calcs_reversed"]
    if electrons is not None:
        run["input"]["incar"]["NELECT"] = electrons
    document["output"]["structure"]["charge"] = stated
    assert import_paths(db, [written(tmp_path, [document])]).failed == []
    assert db.calculations.one().charge == charge


def test_what_came_from_a_store_is_traced_to_its_job(db, tmp_path):
    import_paths(db, [written(tmp_path, [vasp_document()])])
    (calculation,) = db.calculations.find()
    lineage = trace_up(db, "calculations", calculation.id)
    assert any("import static" in node.title for node in lineage.nodes.values())


def test_unknown_documents_are_named(db, tmp_path):
    path = written(tmp_path, [{"uuid": "1", "index": 1, "name": "sum", "output": {"a": 1}}])
    report = import_paths(db, [path])
    assert report.unknown == ["sum (1)"]
    assert db.activities.count() == 0


def test_a_configuration_that_opens_no_store_is_named(db, tmp_path):
    path = tmp_path / "jobflow.yaml"
    path.write_text(yaml.safe_dump({"JOB_STORE": {"docs_store": {"type": "NoSuchStore"}}}))
    report = import_paths(db, [path])
    assert "kind 'NoSuchStore', which is not followed" in report.failed[0][1]
    assert report.files == 0


def test_a_store_that_does_not_answer_is_named_and_the_rest_goes_on(db, tmp_path):
    spec = {
        "type": "MongoStore",
        "database": "theirs",
        "collection_name": "outputs",
        "host": "127.0.0.1",
        "port": 1,
        "username": "someone",
        "password": "hidden",
        "mongoclient_kwargs": {"serverSelectionTimeoutMS": 100},
    }
    (tmp_path / "jobflow.yaml").write_text(yaml.safe_dump({"JOB_STORE": {"docs_store": spec}}))
    shutil.copy(VASPRUN, tmp_path / "vasprun.xml")
    report = import_paths(db, [tmp_path / "jobflow.yaml", tmp_path])
    ((name, reason),) = report.failed
    assert name.endswith("jobflow.yaml")
    assert "does not answer" in reason
    assert "hidden" not in reason
    assert report.added["calculations"] == 1


def test_a_store_by_its_configuration(db, tmp_path, force_field_documents):
    documents, _ = force_field_documents
    data = written(tmp_path, documents)
    path = tmp_path / "jobflow.yaml"
    spec = {"docs_store": {"type": "JSONStore", "paths": str(data), "read_only": True}}
    path.write_text(yaml.safe_dump({"JOB_STORE": spec}))
    report = import_paths(db, [path], options=ImportOptions(model="quick"))
    assert report.failed == []
    assert report.added["calculations"] == 1


def phonon_document(data_folder):
    """The shape of atomate2's PhononBSDOSDoc, with the force constants of a real phonon."""
    real = from_phonopy_yaml(data_folder / "phonopy_wse2_gpaw_3x3.yaml")
    full = compact_fc_to_full_fc(real.phonopy.primitive, real.force_constants)
    output = {
        "structure": AseAtomsAdaptor.get_structure(real.unit_cell),
        "force_constants": {"force_constants": full.tolist()},
        "supercell_matrix": real.supercell_matrix.tolist(),
        "primitive_matrix": real.primitive_matrix.tolist(),
        "code": "gpaw",
    }
    document = {"uuid": "22", "index": 1, "name": "phonon", "output": output}
    return jsanitize(document, strict=True), real


def test_a_document_that_phonopy_cannot_take_does_not_stop_the_others(db, tmp_path, data_folder):
    broken, _ = phonon_document(data_folder)
    broken["output"]["primitive_matrix"] = [[0.0] * 3] * 3
    path = written(tmp_path, [broken, vasp_document()])
    options = ImportOptions(description=data_folder / "method.yaml")
    report = import_paths(db, [path], options=options)
    ((name, reason),) = report.failed
    assert name == "phonon (22)"
    assert "not as expected" in reason
    assert report.added["calculations"] == 1
    assert db.phonons.count() == 0


@pytest.mark.parametrize("n", [3, 2])
def test_a_phonon_documents_charges_are_kept(db, tmp_path, data_folder, n):
    document, _ = phonon_document(data_folder)
    born = [(-1.0 * np.eye(3)).tolist(), *[(0.5 * np.eye(3)).tolist()] * 2]
    document["output"] |= {"born": born[:n], "epsilon_static": np.diag([4.0, 4.0, 1.5]).tolist()}
    path = written(tmp_path, [document])
    options = ImportOptions(description=data_folder / "method.yaml")
    report = import_paths(db, [path], options=options)
    if n == 2:
        assert "Born charges of 2 atoms" in report.failed[0][1]
        return
    (phonon,) = db.phonons.find()
    np.testing.assert_array_equal(phonon.born, born)
    np.testing.assert_array_equal(phonon.epsilon_static, np.diag([4.0, 4.0, 1.5]))
    assert phonon.nac == {"method": "gonze", "source": "the document"}


def test_a_phonon_document_needs_its_method(db, tmp_path, data_folder):
    document, real = phonon_document(data_folder)
    path = written(tmp_path, [document])
    assert "does not say its method" in import_paths(db, [path]).failed[0][1]
    options = ImportOptions(description=data_folder / "method.yaml")
    report = import_paths(db, [path], options=options)
    assert report.failed == []
    (phonon,) = db.phonons.find()
    found = Blob(db.blobs.get(phonon.force_constants)).arrays()["force_constants"]
    np.testing.assert_allclose(found, real.force_constants, atol=1e-12)
    assert db.activities.get(phonon.provenance.activity).job["uuid"] == "22"
    other = tmp_path / "other.yaml"
    other.write_text(options.description.read_text().replace("functional: PBE", "functional: LDA"))
    report = import_paths(db, [path], options=ImportOptions(description=other))
    assert report.added["phonons"] == 1
