"""A database and an archive of each schema version that is kept: brought here they are sound."""

from operator import setitem
from pathlib import Path

import pytest
from ase.build import bulk

from forcebase.actions.predictions import predict
from forcebase.actions.running_here import run_here
from forcebase.archive import read_archive, writing
from forcebase.database.connection import open_client
from forcebase.database.database import Database
from forcebase.database.installation import META
from forcebase.database.publishing import publish_model
from forcebase.database.schema import OLDEST_READABLE, SCHEMA_VERSION
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.migrating import migrate_database
from forcebase.integrity.restore import restore_backup
from forcebase.integrity.verify import verify
from forcebase.makers.phonon import PhononMaker
from forcebase.makers.relaxation import RelaxMaker
from forcebase.records import Structure
from forcebase.records.base import document_checksum
from forcebase.records.structure import defect_as_field

MATRIX = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
VERSIONS = Path(__file__).parents[1] / "data" / "versions"
KEPT = range(OLDEST_READABLE, SCHEMA_VERSION)
SOUND = {FindingKind.NOT_CHECKED}
"""A model of an archive that nobody trusted yet, where it has no neutral form."""


@pytest.mark.parametrize("version", KEPT)
def test_a_database_of_an_earlier_version(settings, damage, version, tmp_path):
    """Checksums of all, and counts that say when they were made: what was lost before is not."""
    restore_backup(settings, VERSIONS / str(version) / "backup.zip")
    migrate_database(settings, tmp_path)
    db = Database(settings)
    assert db.raw[META].find_one()["history"][-1]["version"] == SCHEMA_VERSION
    assert verify(db, models=False).findings == []
    for activity in db.activities.find():
        if activity.kind == "failure":
            assert activity.resolved is (activity.id.endswith(":1"))
            continue
        own = activity.kind == "comparison"  # made by version 8, as it was kept
        counted = "when written" if own else "at migration"
        assert (activity.run.state, activity.run.counted) == ("finished", counted)
    members, labels = db.raw["dataset_members"], db.raw["labels"]
    spoil = lambda d: setitem(d, "reason", "?")  # noqa: E731
    with damage.changed(members, {}, spoil) as before:
        found = [(f.kind, f.record) for f in verify(db, models=False).findings]
        assert found == [(FindingKind.RECORD_CHANGED, before["_id"])]
    assert all("checksum" in row for row in labels.find())
    with damage.removed(db.raw["calculations"], {"method_class": "model"}):
        findings = verify(db, models=False).findings
        missing = [f.message for f in findings if f.kind is FindingKind.RECORDS_MISSING]
        assert missing
        assert all("had at the upgrade to schema version 8" in message for message in missing)
    db.close()


@pytest.mark.parametrize("version", KEPT)
def test_an_archive_of_an_earlier_version(db, version):
    archive = VERSIONS / str(version) / "archive.zip"
    assert sum(read_archive(db, archive).added.values())
    assert set(verify(db, models=False).counts) <= SOUND
    assert read_archive(db, archive).added == {}
    assert set(verify(db, models=False).counts) <= SOUND


def require_found_fields(db):
    """What records are found by is what they say, and each has it."""
    for row in db.raw["structures"].find():
        again = Structure.from_atoms(db.structures.get(row["_id"]).to_atoms())
        for name in ("nelements", "elements_ratios", "chemical_formula_reduced", "dimension_types",
                     "chemical_formula_anonymous", "nperiodic_dimensions"):  # fmt: skip
            assert row[name] == getattr(again, name), name
        assert row["checksum"] == document_checksum(row)
    for row in db.raw["calculations"].find():
        structure = db.structures.get(row["structure"])
        assert row["energy_per_atom"] == row["energy"] / structure.n_atoms
        assert row["chemical_formula_reduced"] == structure.chemical_formula_reduced
        assert row["nelements"] == structure.nelements
    assert db.structures.count('chemical_formula_reduced = "WSe2"') == db.structures.count(
        reduced_formula="WSe2"
    )


@pytest.mark.parametrize("version", KEPT)
def test_records_of_before_are_found_as_those_of_today(db, version):
    read_archive(db, VERSIONS / str(version) / "archive.zip")
    require_found_fields(db)


@pytest.mark.parametrize("version", KEPT)
def test_migrated_records_are_found_as_those_of_today(settings, version, tmp_path):
    restore_backup(settings, VERSIONS / str(version) / "backup.zip")
    with open_client(settings) as client:
        raw = client[settings.database]["structures"]
        edited = raw.find_one()
        raw.update_one({"_id": edited["_id"]}, {"$set": {"family": "edited"}},
                       bypass_document_validation=True)  # fmt: skip
    migrate_database(settings, tmp_path)
    db = Database(settings)
    [found] = verify(db, models=False).findings
    assert (found.kind, found.record) == (FindingKind.RECORD_CHANGED, edited["_id"])
    db.raw["structures"].delete_one({"_id": edited["_id"]})
    db.raw["calculations"].delete_many({"structure": edited["_id"]})
    require_found_fields(db)
    db.close()


DEFECT = {"name": "v_Se", "changes": [], "host": "a" * 64}


def old_cell(parent):
    """A made cell as versions up to 7 stored it: its defect is among the recipe's parameters."""
    atoms = bulk("Si", cubic=True)
    del atoms[0]
    parameters = {"supercell_matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "defect": DEFECT}
    recipe = {"operation": "supercell+defect", "parameters": parameters, "parent": parent}
    return Structure.from_atoms(atoms, recipe=recipe).to_mongo().to_dict()


def test_a_defect_in_a_recipe_becomes_a_field(settings, tmp_path):
    restore_backup(settings, VERSIONS / "7" / "backup.zip")
    with open_client(settings) as client:
        raw = client[settings.database]["structures"]
        sound, edited = old_cell(raw.find_one()["_id"]), old_cell(raw.find_one()["_id"])
        edited["_id"] = "f" * 64
        edited["kind"] = "edited by hand"
        raw.insert_many([sound, edited], bypass_document_validation=True)
    migrate_database(settings, tmp_path)
    db = Database(settings)
    found = db.structures.get(sound["_id"])
    assert dict(found.defect) == DEFECT
    assert set(found.recipe["parameters"]) == {"supercell_matrix"}
    assert db.structures.one(formula="Si7", id=sound["_id"]).digest() == sound["_id"]
    wrong = {(f.kind, f.record) for f in verify(db, models=False).findings}
    assert (FindingKind.CONTENT_CHANGED, "f" * 64) in wrong
    assert sound["_id"] not in {record for _, record in wrong}
    stored = db.raw["structures"].find_one({"_id": "f" * 64})
    assert stored["checksum"] == edited["checksum"] != document_checksum(stored)
    db.close()


def test_a_defect_in_a_recipe_of_an_old_archive_becomes_a_field(
    db, other_db, tmp_path, monkeypatch
):
    made = old_cell(None)
    other_db.raw["structures"].insert_one(made)
    with monkeypatch.context() as patch:
        patch.setattr(writing, "SCHEMA_VERSION", 7)
        path, _ = writing.write_archive(other_db, [("structures", made["_id"])], tmp_path / "a.zip")
    assert read_archive(db, path).added["structures"] == 1
    assert dict(db.structures.get(made["_id"]).defect) == DEFECT
    assert verify(db).findings == []


def test_what_a_model_gave_in_version_7_is_found_and_not_made_twice(settings, tmp_path):
    """Labels of ten cells and a phonon, named by their bits: the names stay, none comes twice."""
    restore_backup(settings, VERSIONS / "7" / "predictions.zip")
    migrate_database(settings, tmp_path)
    db = Database(settings)
    [model] = [method for method in db.methods.find() if method.is_model]
    [phonon] = db.phonons.find()
    before = {c.id for c in db.calculations.find()}
    asked = [c.structure for c in db.calculations.find(method=model.id)]
    assert {c.identity for c in db.calculations.find()} == {phonon.identity} == {None}
    assert predict(db, model, asked) == 0
    assert predict(db, model, asked, again=True) == len(asked) == 11
    start = db.structures.get(phonon.initial_structure)
    maker = PhononMaker(relax_maker=RelaxMaker(fmax=1e-3))
    run_here(db, maker.make(publish_model(db, model), start.to_pymatgen(), MATRIX))
    assert {c.id for c in db.calculations.find()} == before
    assert [p.id for p in db.phonons.find()] == [phonon.id]
    assert [a.findings for a in db.activities.find() if a.findings] == []
    assert verify(db).findings == []
    db.close()


@pytest.mark.parametrize("said", ["v_Se", None, 0, [DEFECT]], ids=str)
def test_what_a_recipe_of_somebodys_own_calls_a_defect_stays_there(said):
    """A field for it takes no text: the record would be against the schema from then on."""
    made = {"recipe": {"parameters": {"defect": said}}}
    assert defect_as_field(made) == made
