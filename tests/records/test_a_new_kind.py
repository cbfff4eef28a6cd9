"""A record class written in one file: everything else finds it by what it says of itself."""

import json
import sys
from typing import Any, ClassVar

import numpy as np
import pytest
from ase.build import bulk
from mongoengine import DictField, FloatField, StringField
from pymongo.errors import WriteError

from forcebase.archive import read_archive, write_archive
from forcebase.cli.main import main
from forcebase.database.database import Database
from forcebase.database.roles import Role, _privileges
from forcebase.database.schema_files import differences, render, write
from forcebase.digest import bytes_digest
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.integrity.backup import write_backup
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.restore import restore_backup
from forcebase.integrity.verify import verify
from forcebase.records import Activity, Structure
from forcebase.records.array_field import ArrayField
from forcebase.records.base import DIGEST_PATTERN, Record
from forcebase.records.description import BlobField, Column, Description, Reference, columns
from forcebase.records.kinds import _REGISTERED, kind_of, register

PICTURE = b"a diffraction pattern, as the instrument wrote it"


class Measurement(Record):
    """A lattice constant that was measured."""

    meta: ClassVar[dict[str, Any]] = {
        "collection": "measurements",
        "indexes": ["structure", "provenance.edges.record"],
    }
    DESCRIPTION = Description(
        columns=columns("id", Column("value", "a", "A"), Column("at.temperature", "T", "K")),
        references=(
            Reference("structure", "structures", "structure"),
            Reference("earlier", "measurements"),
        ),
        blobs=(BlobField("picture", "diffraction pattern"),),
        heavy=("intensities",),
        long=("at",),
        tells_source=True,
        rights=("insert", "remove"),
        colour="#123456",
    )

    structure = StringField(required=True, regex=DIGEST_PATTERN, help_text="what was measured")
    earlier = StringField(regex=DIGEST_PATTERN, help_text="the measurement that this one repeats")
    value = FloatField(required=True, help_text="lattice constant, angstrom")
    at = DictField(help_text="temperature, K")
    picture = StringField(required=True, regex=DIGEST_PATTERN, help_text="blob of the pattern")
    intensities = ArrayField((None,), required=True, help_text="(n,) counts")

    @property
    def title(self) -> str:
        """As "a = 5.4310 A"."""
        return f"a = {self.value:.4f} A"

    def content(self) -> dict[str, Any]:
        """All but its provenance."""
        names = ("structure", "earlier", "value", "at", "picture", "intensities")
        return {"measurement": {name: getattr(self, name) for name in names}}


def measured(structure, value, **more):
    record = Measurement(
        structure=structure.id,
        value=value,
        at={"temperature": 300.0},
        picture=bytes_digest(PICTURE),
        intensities=np.array([1.0, 5.0, 2.0]),
        **more,
    )
    return record.made_from("structure", "structures", structure.id).sealed()


@pytest.fixture(scope="module", autouse=True)
def registered():
    register(Measurement)
    yield
    _REGISTERED.pop("measurements")


@pytest.fixture
def filled(new_database):
    """A structure, and two measurements of it that an import brought."""
    db = new_database()
    structure = Structure.from_atoms(bulk("Si", cubic=True))
    first = measured(structure, 5.431)
    second = measured(structure, 5.432, earlier=first.id)
    act = Activity(id="a" * 64, kind="import", name="beamline.csv", source={"sha256": "b" * 64})
    batch = Batch(structures=[structure], others=[first, second], blobs=[PICTURE])
    assert batch.write(db, act) == {"structures": 1, "measurements": 2}
    db.names.name("silicon", "structures", structure.id)
    db.names.name("lab", "measurements", second.id)
    return db


@pytest.fixture
def run(filled, monkeypatch, capsys):
    """The command line, in this process, where the class is registered."""
    monkeypatch.setenv("FORCEBASE_HOME", str(filled.settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", filled.settings.database)
    monkeypatch.delenv("FORCEBASE_MONGODB_URI", raising=False)

    def command(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["forcebase", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert (ended.value.code or 0) == code, shown
        return shown.out + shown.err

    return command


def findings(db):
    return {(f.kind, f.collection, f.message) for f in verify(db).findings}


def test_ls_has_its_columns_with_units_and_finds_by_names_of_what_it_names(run):
    shown = run("ls", "measurements")
    assert "a (A)" in shown
    assert "T (K)" in shown
    assert "5.431" in shown
    assert "beamline.csv" in shown
    rows = json.loads(run("ls", "measurements", "structure=silicon", "value=5.432", "--json"))
    assert [row["names"] for row in rows] == [["lab"]]
    assert "at" not in rows[0]
    assert len(json.loads(run("ls", "measurements", "earlier=lab", "--json"))) == 0
    assert "no field 'colour'" in run("ls", "measurements", "colour=red", code=2)


def test_show_reads_its_arrays(run):
    shown = json.loads(run("show", "lab", "--json"))
    assert shown["collection"] == "measurements"
    assert shown["intensities"] == [1.0, 5.0, 2.0]
    assert shown["from"] == "beamline.csv"


def test_trace_goes_through_it_both_ways_and_draws_it(run, tmp_path):
    up = json.loads(run("trace", "lab", "--up", "--json"))["up"]
    assert {node["collection"] for node in up["nodes"]} == {
        *("measurements", "structures", "activities")
    }
    assert up["nodes"][0]["title"] == "a = 5.4320 A"
    down = json.loads(run("trace", "silicon", "--down", "--json"))["down"]
    assert [edge["role"] for edge in down["edges"]] == ["structure", "structure"]
    run("trace", "silicon", "--picture", tmp_path / "t.svg")
    assert "#123456" in (tmp_path / "t.svg").read_text()


def test_a_taint_reaches_it(run):
    run("taint", "silicon", "--reason", "it was germanium")
    [*_, row] = json.loads(run("ls", "measurements", "--json"))
    assert "it was germanium" in row["stale"]


def test_verify_reads_its_digest_its_references_and_its_blobs(filled):
    assert findings(filled) == set()
    raw = filled.raw["measurements"]
    lab = raw.find_one({"value": 5.432})
    raw.update_one({"_id": lab["_id"]}, {"$set": {"value": 5.5}}, bypass_document_validation=True)
    raw.delete_one({"value": 5.431})
    filled.blobs.remove(lab["picture"])
    found = verify(filled).findings
    kinds = {f.kind for f in found if f.record == lab["_id"]}
    assert kinds == {
        *(FindingKind.CONTENT_CHANGED, FindingKind.BROKEN_EDGE, FindingKind.BLOB_MISSING)
    }
    assert any("its diffraction pattern, blob" in f.message for f in found)
    assert any("its earlier" in f.message for f in found)


def test_an_archive_brings_it_with_all_that_it_names(filled, new_database, tmp_path):
    place, record = filled.resolve("lab")
    path, manifest = write_archive(filled, [(place, record.id)], tmp_path / "a.zip")
    assert manifest.documents["measurements"] == 2
    other = new_database()
    report = read_archive(other, path)
    assert report.added["measurements"] == 2
    assert other.resolve("lab")[1].intensities.tolist() == [1.0, 5.0, 2.0]
    assert other.blobs.get(record.picture) == PICTURE
    assert findings(other) == set()
    again, _ = write_archive(other, [(place, record.id)], tmp_path / "b.zip")
    assert again.read_bytes() == path.read_bytes()


def test_who_does_not_know_the_class_refuses_its_archive(filled, new_database, tmp_path):
    place, record = filled.resolve("lab")
    path, _ = write_archive(filled, [(place, record.id)], tmp_path / "a.zip")
    _REGISTERED.pop("measurements")
    try:
        with pytest.raises(InputError, match=r"measurements\.bson"):
            read_archive(new_database(), path)
    finally:
        register(Measurement)


def test_a_backup_has_it(filled, new_settings, tmp_path):
    path, _ = write_backup(filled, tmp_path / "all.zip")
    settings = new_settings()
    restore_backup(settings, path)
    restored = Database(settings)
    try:
        assert restored.resolve("lab")[1].title == "a = 5.4320 A"
        assert findings(restored) == set()
    finally:
        restored.client.drop_database(settings.database)
        restored.close()


def test_it_is_forgotten_with_its_blob_but_not_while_another_names_it(filled, run):
    first = filled.raw["measurements"].find_one({"value": 5.431})["_id"]
    assert "depends on" in run("forget", first, code=2)
    run("forget", "lab")
    run("forget", first)
    assert bytes_digest(PICTURE) not in filled.blobs
    assert findings(filled) == set()


def test_its_schema_is_written_and_kept_by_the_server(filled, tmp_path):
    schema = json.loads(render()["measurements.json"])
    assert schema["properties"]["value"]["description"] == "lattice constant, angstrom"
    write(tmp_path)
    assert differences(tmp_path) == []
    with pytest.raises(WriteError, match="Document failed validation"):
        filled.raw["measurements"].insert_one({"_id": "c" * 64, "value": "large"})


def test_its_records_are_in_python_as_in_the_command_line(filled):
    table = filled.collection("measurements").find(value=5.431).to_dataframe()
    assert table["value"].tolist() == [5.431]
    with pytest.raises(InputError, match="no atoms"):
        filled.collection("measurements").find().to_atoms()


def test_a_curator_may_do_what_the_class_says(filled):
    rights = {p["resource"]["collection"]: p["actions"] for p in _privileges(Role.CURATOR, "x")}
    assert rights["measurements"] == ["insert", "remove"]


def test_a_collection_has_one_class():
    class Other(Record):
        meta: ClassVar[dict[str, Any]] = {"collection": "measurements"}

    register(Measurement)
    assert kind_of("measurements").document is Measurement
    with pytest.raises(ValueError, match="Measurement has the collection measurements already"):
        register(Other)
