"""Models in the database outlive the pickles that they came in."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from forcebase.actions.models import add_model, convert_model, export_model, open_model
from forcebase.archive import read_archive, write_archive
from forcebase.database.database import Database
from forcebase.database.installation import META
from forcebase.database.neutral_models import same_models
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.database.trust import trust, waiting
from forcebase.errors import InputError, IntegrityError, ModelError, NotFoundError
from forcebase.ingest.batch import Batch
from forcebase.ingest.outputs import model_batch
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.migrating import migrate_database
from forcebase.integrity.restore import restore_backup
from forcebase.integrity.verify import verify
from forcebase.models.network_form import build_network
from forcebase.models.neutral_form import is_neutral, read_neutral
from forcebase.models.sources import Source
from forcebase.records import Activity

OLD = Path(__file__).parent / "data" / "versions" / "6"


@pytest.fixture
def model(db, quick_model):
    """The quick model in the database."""
    batch = model_batch(db, {**quick_model.output, "dataset": None, "dataset_job": None})
    batch.write(db, Activity(id="training:1", kind="job", name="train"))
    return db.methods.get(batch.methods[0].id)


def saved_again(neutral: bytes) -> bytes:
    """The same model in another pickle."""
    buffer = io.BytesIO()
    torch.save(build_network(read_neutral(neutral)), buffer, pickle_protocol=4)
    return buffer.getvalue()


def test_a_file_and_its_neutral_form_are_one_model(db, model, quick_model, tmp_path):
    target = tmp_path / "quick.safetensors"
    assert export_model(db, model, target, "neutral") == "its neutral form"
    assert target.read_bytes() == quick_model.output["neutral"].data
    added = add_model(db, Source("mace", str(target)))
    assert added.id != model.id
    assert added.neutral == added.weights == model.neutral
    assert same_models(db.raw, [added.id, model.id]) == {
        added.id: [model.id],
        model.id: [added.id],
    }
    assert added.e0s == pytest.approx(model.e0s, abs=1e-12)
    assert added.hyperparameters["num_channels"] == 8
    assert added.hyperparameters["r_max"] == 4.5
    report = verify(db)
    assert [f.kind for f in report.findings] == [FindingKind.SAME_MODEL]
    assert report.is_sound
    made = tmp_path / "made.model"
    assert export_model(db, added, made, "model") == "made from its neutral form"
    network = torch.load(made, weights_only=False)
    own = build_network(read_neutral(target.read_bytes())).state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in network.state_dict().items())


def test_the_file_that_was_given_is_given_back(db, model, quick_model, tmp_path):
    target = tmp_path / "quick.model"
    assert export_model(db, model, target) == "the file that was given"
    assert target.read_bytes() == quick_model.output["weights"].data
    with pytest.raises(InputError, match="is there already"):
        export_model(db, model, target)


def test_a_calculator_without_a_file_has_none_to_give(db, tmp_path):
    emt = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=("Cu",)))
    assert emt.neutral is None
    with pytest.raises(InputError, match=r"has no file: it is ase\.calculators\.emt:EMT"):
        export_model(db, emt, tmp_path / "emt")
    with pytest.raises(InputError, match="has no neutral form"):
        export_model(db, emt, tmp_path / "emt", "neutral")
    with pytest.raises(ModelError, match="ASE model has no neutral form"):
        convert_model(db, emt)
    assert not list(tmp_path.iterdir())


def test_a_model_without_its_file_is_whole_and_the_file_is_made(db, model, tmp_path):
    db.blobs._files.delete(model.weights)
    assert open_model(db, model).elements == ["Se", "W"]
    assert export_model(db, model, tmp_path / "a.model") == "made from its neutral form"
    db.methods.raw.update_one({"_id": model.id}, {"$unset": {"neutral": 1}})
    with pytest.raises(NotFoundError, match="is not in the database"):
        export_model(db, db.methods.get(model.id), tmp_path / "b.model")


def test_a_changed_neutral_form_is_not_loaded_and_verify_says_so(db, model):
    chunks = db.raw["blobs.chunks"]
    whole = chunks.find_one({"files_id": model.neutral})
    chunks.update_one({"_id": whole["_id"]}, {"$set": {"data": whole["data"][:-1] + b"\1"}})
    with pytest.raises(IntegrityError):
        open_model(db, model)
    kinds = {finding.kind for finding in verify(db).findings}
    assert kinds == {FindingKind.BLOB_CHANGED, FindingKind.PROBE_FAILED}
    chunks.delete_one({"_id": whole["_id"]})
    db.raw["blobs.files"].delete_one({"_id": model.neutral})
    words = [f.message for f in verify(db).findings if f.kind is FindingKind.BLOB_MISSING]
    assert words == [f"its neutral form, blob {model.neutral[:10]}, is not there"]


def test_a_neutral_form_that_no_mace_can_be_does_not_come_in(db, quick_model):
    from forcebase.blob import Blob

    output = {**quick_model.output, "dataset": None, "dataset_job": None}
    with pytest.raises(ModelError, match="no whole safetensors file"):
        model_batch(db, {**output, "neutral": Blob(b"\x80\x04.")})


NO_PICKLE = """
import builtins, json, sys
import forcebase as fb
from forcebase.actions.phonons import compute_phonon
from forcebase.actions.predictions import predict
from forcebase.integrity.verify import verify
from forcebase.models.mace_package import import_mace
import_mace()
import pickle, torch
import mace.calculators, mace.data, phonopy, spglib  # what packages read of their own comes first


def refuse(*arguments, **keywords):
    raise AssertionError("a pickle was opened")


for module, name in ((torch, "load"), (torch.serialization, "load"), (pickle, "load"),
                     (pickle, "loads"), (pickle, "Unpickler"), (pickle, "_Unpickler")):
    setattr(module, name, refuse)
db = fb.connect()
model = db.require_model("quick")
structures = [s.id for s in db.structures.find(limit=2)]
assert predict(db, model, structures) == 2
cell, matrix = db.structures.get(structures[0]), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
phonon = compute_phonon(db, model, cell, matrix)
report = verify(db)
print(json.dumps([phonon.method, report.is_sound, report.checked["models"]]))
"""


def test_no_pickle_is_opened_by_predict_phonon_and_verify(db, model, settings, quick_model):
    from forcebase.database.server import EmbeddedServer
    from forcebase.records import Structure

    db.names.name("quick", "methods", model.id)
    cells = [atoms for atoms in quick_model.frames.atoms() if len(atoms) == 3][:2]
    found = [Structure.from_atoms(atoms, family="f" * 64, kind="test") for atoms in cells]
    Batch(structures=found).write(db, Activity(id="test", kind="import", name="test"))
    done = subprocess.run(
        [sys.executable, "-c", NO_PICKLE],
        env={
            **os.environ,
            "FORCEBASE_MONGODB_URI": EmbeddedServer(settings.home).uri,
            "FORCEBASE_DATABASE": settings.database,
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [model.id, True, 1]


def test_a_database_of_version_6_is_converted(settings, caplog, tmp_path):
    restore_backup(settings, OLD / "backup.zip")
    migrate_database(settings, tmp_path)
    db = Database(settings)
    assert db.raw[META].find_one()["version"] == SCHEMA_VERSION
    model = db.require_model("quick")
    assert is_neutral(db.blobs.get(model.neutral))
    assert verify(db).findings == []
    calculation = db.calculations.one(method=model.id)
    atoms = db.structures.get(calculation.structure).to_atoms()
    atoms.calc = open_model(db, model).calculator()
    assert atoms.get_potential_energy() == pytest.approx(calculation.energy, abs=1e-9)
    assert "1 MACE models get a neutral form" in caplog.text
    before = db.methods.raw.find_one({"_id": model.id})
    assert convert_model(db, model)[0].neutral == model.neutral
    assert db.methods.raw.find_one({"_id": model.id}) == before
    db.close()


def test_a_migration_without_mace_leaves_the_record_and_says_so(
    settings, monkeypatch, tmp_path, caplog, fresh_processes
):
    restore_backup(settings, OLD / "backup.zip")
    (tmp_path / "mace").mkdir()
    (tmp_path / "mace" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module 'mace'\")"
    )
    monkeypatch.syspath_prepend(tmp_path)
    migrate_database(settings, tmp_path / "backups")
    monkeypatch.undo()
    db = Database(settings)
    assert "forcebase model convert" in caplog.text
    model = db.require_model("quick")
    assert model.neutral is None
    report = verify(db)
    assert [f.kind for f in report.findings] == [FindingKind.NOT_CHECKED]
    assert report.is_sound
    with pytest.raises(ModelError, match="has no neutral form"):
        open_model(db, model)
    converted, _ = convert_model(db, model)
    assert open_model(db, converted).elements == ["Se", "W"]
    assert verify(db).findings == []
    db.close()


def test_an_edited_record_is_not_sealed_anew_by_the_migration(settings, caplog, tmp_path):
    restore_backup(settings, OLD / "backup.zip")
    from forcebase.database.connection import open_client

    with open_client(settings) as client:
        raw = client[settings.database]["methods"]
        raw.update_one({"kind": "MACE"}, {"$set": {"seed": 99}}, bypass_document_validation=True)
    migrate_database(settings, tmp_path)
    db = Database(settings)
    assert "was edited after it was written" in caplog.text
    kinds = {finding.kind for finding in verify(db).findings}
    assert kinds == {FindingKind.RECORD_CHANGED, FindingKind.NOT_CHECKED, FindingKind.ORPHAN_BLOB}
    db.close()


def test_an_archive_of_version_6_is_read_and_its_pickle_is_not_opened(db, tmp_path):
    report = read_archive(db, OLD / "archive.zip")
    assert report.added["methods"] == 2
    model = db.require_model("quick")
    assert model.neutral is None
    for use in (open_model, convert_model):
        with pytest.raises(ModelError, match=r"it came in archive\.zip") as caught:
            use(db, model)
        assert "forcebase model trust" in caught.value.hint
    assert {f.kind for f in verify(db).findings} == {FindingKind.NOT_CHECKED}
    trust(db, model)
    with pytest.raises(ModelError, match="not opened unasked"):
        open_model(db, model)
    assert waiting(db) == []
    convert_model(db, model)
    assert verify(db).findings == []
    write_archive(db, [("methods", model.id)], tmp_path / "new.zip")


def test_a_file_that_is_another_models_is_noticed(db, model, random_other):
    db.methods.raw.update_one({"_id": model.id}, {"$set": {"neutral": random_other}})
    with pytest.raises(IntegrityError, match="is not that of its file"):
        convert_model(db, model)


@pytest.fixture
def random_other(db, quick_model):
    """The digest of a neutral form with another number in it."""
    form = read_neutral(quick_model.output["neutral"].data)
    tensors = {**form.tensors, "scale_shift.scale": form.tensors["scale_shift.scale"] * 1.5}
    return db.blobs.put(type(form)(form.architecture, tensors).to_bytes())
