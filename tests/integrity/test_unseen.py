"""What stands beside the records, edited or removed by hand with plain pymongo, and named."""

import json
from operator import setitem

import pytest
from jobflow.core.schemas import JobStoreDocument
from monty.json import jsanitize

from forcebase.archive import read_archive, write_archive
from forcebase.blob import DATA_STORE, Blob
from forcebase.comparison import compare
from forcebase.database.database import Database
from forcebase.database.installation import META
from forcebase.database.label_blocks import _checksum, labels_of
from forcebase.database.schema import SCHEMA_VERSION
from forcebase.database.trust import quarantine
from forcebase.errors import DatabaseError
from forcebase.ingest.batch import Batch
from forcebase.ingest.collect import collect
from forcebase.ingest.importing import import_paths
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.provenance.taint import remove_taint, set_taint, stale_among
from forcebase.records import Activity, Structure
from forcebase.records.array_field import decode_array, encode_array
from forcebase.records.base import document_checksum

NO_ID = "0" * 64


def found(db):
    """What a verification finds, as (kind, collection, record)."""
    report = verify(db, models=False)
    assert all(finding.message and finding.hint for finding in report.findings)
    return {(f.kind, f.collection, f.record) for f in report.findings}


@pytest.mark.parametrize(
    ("name", "query", "change"),
    [
        ("dataset_members", {"split": "train"}, lambda d: setitem(d, "family", NO_ID)),
        ("dataset_members", {"step": {"$exists": 1}}, lambda d: setitem(d, "reason", "too far")),
        ("dataset_members", {"step": {"$exists": 1}}, lambda d: setitem(d, "step", "other")),
        ("activities", {"kind": "import"}, lambda d: setitem(d, "name", "other.extxyz")),
        ("activities", {"kind": "import"}, lambda d: setitem(d["source"], "sha256", NO_ID)),
        ("activities", {"kind": "comparison"}, lambda d: setitem(d, "wall_time", 0.0)),
        ("activities", {"kind": "import"}, lambda d: setitem(d["run"], "user", "nobody")),
        ("labels", {"_id": "name:gpaw-pbe"}, lambda d: setitem(d, "set_at", d["set_at"].min)),
    ],
)
def test_a_document_beside_the_records_was_edited(filled, damage, name, query, change):
    with damage.changed(filled.raw[name], query, change) as before:
        assert found(filled) == {(FindingKind.RECORD_CHANGED, name, before["_id"])}
    assert found(filled) == set()


def test_an_activity_that_no_longer_says_what_it_wrote(filled, damage):
    activities = filled.raw["activities"]
    with damage.changed(activities, {"kind": "import"}, lambda d: d.pop("run")) as before:
        assert found(filled) == {(FindingKind.UNSEALED, "activities", before["_id"])}


def test_a_name_was_moved(filled, damage):
    """To another record, in the database itself; `forcebase` moves it with its checksum."""
    methods = sorted(filled.raw["methods"].distinct("_id"))
    now = filled.names.named("gpaw-pbe")[1]
    other = next(method for method in methods if method != now)
    spoil = lambda d: setitem(d, "record", other)  # noqa: E731
    with damage.changed(filled.raw["labels"], {"_id": "name:gpaw-pbe"}, spoil):
        assert found(filled) == {(FindingKind.RECORD_CHANGED, "labels", "name:gpaw-pbe")}
    filled.names.name("gpaw-pbe", "methods", other)
    assert found(filled) == set()
    filled.names.name("gpaw-pbe", "methods", now)


def test_a_taint_or_a_quarantine_was_edited(filled, damage):
    record = filled.phonons.one().id
    set_taint(filled, "phonons", record, "too small a supercell")
    quarantine(filled, [NO_ID], "a.zip (0123456789)")
    assert found(filled) == set()
    spoil = lambda d: setitem(d, "reason", "looks odd")  # noqa: E731
    with damage.changed(filled.raw["taints"], {}, spoil):
        assert found(filled) == {(FindingKind.RECORD_CHANGED, "taints", record)}
    spoil = lambda d: setitem(d, "trusted_at", d["since"])  # noqa: E731
    with damage.changed(filled.raw["quarantine"], {}, spoil):
        assert found(filled) == {(FindingKind.RECORD_CHANGED, "quarantine", NO_ID)}
    filled.raw["quarantine"].delete_many({})
    filled.raw["journal"].delete_many({"act": "quarantine"})
    remove_taint(filled, record)
    assert found(filled) == set()


def removed_words(db):
    return {f[1:] for f in found(db) if f[0] is FindingKind.WORD_MISSING}


def test_words_that_were_removed(filled, damage):
    """A name, a tag, a taint and a quarantine; taken back by a command, none is missed."""
    ids = [row["_id"] for row in filled.raw["structures"].find({}, {"_id": 1}).limit(3)]
    filled.names.name("cell", "structures", ids[0])
    filled.names.tag("some", "structures", *ids)
    set_taint(filled, "structures", ids[2], "bad")
    quarantine(filled, [NO_ID], "a.zip (0123456789)")
    assert removed_words(filled) == set()
    for place, word in (
        ("labels", "name:cell"),
        ("labels", f"tag:some:{ids[1]}"),
        ("taints", ids[2]),
        ("quarantine", NO_ID),
    ):
        with damage.removed(filled.raw[place], {"_id": word}):
            assert removed_words(filled) == {(place, word)}
            assert not verify(filled, models=False).is_sound
    filled.names.name("cell", "structures", ids[1])
    filled.names.unname("cell")
    filled.names.untag("some", ids[1])
    remove_taint(filled, ids[2])
    assert removed_words(filled) == set()
    with damage.removed(filled.raw["labels"], {"_id": f"tag:some:{ids[0]}"}):
        assert removed_words(filled) == {("labels", f"tag:some:{ids[0]}")}
    for record in (ids[0], ids[2]):
        filled.names.untag("some", record)
    filled.raw["quarantine"].delete_many({})
    filled.raw["journal"].delete_many({"act": "quarantine"})
    assert found(filled) == set()


def test_an_entry_of_the_journal_was_edited(filled, damage):
    [entry] = filled.raw["journal"].find({"act": "name", "text": "gpaw-pbe"}).limit(1)
    spoil = lambda d: setitem(d, "user", "another")  # noqa: E731
    with damage.changed(filled.raw["journal"], {"_id": entry["_id"]}, spoil):
        assert found(filled) == {(FindingKind.RECORD_CHANGED, "journal", entry["_id"])}


def test_tags_of_an_import_and_words_of_an_archive(db, new_settings, data_folder, tmp_path):
    for name in ("wse2_gpaw_unitcell.extxyz", "method.yaml"):
        (tmp_path / name).write_text((data_folder / name).read_text())
    text = (tmp_path / "method.yaml").read_text().partition("\nfiles:")[0]
    said = "\nfiles:\n  wse2_gpaw_unitcell.extxyz: {tags: [cells, a]}\n"
    (tmp_path / "method.yaml").write_text(text + said)
    import_paths(db, [tmp_path / "wse2_gpaw_unitcell.extxyz"])
    record = db.names.tagged("cells")[0]
    set_taint(db, "calculations", record, "bad")
    write_archive(db, [], tmp_path / "all.zip")
    other = Database(new_settings())
    read_archive(other, tmp_path / "all.zip")
    for one in (db, other):
        assert removed_words(one) == set()
        one.raw["labels"].delete_one({"_id": f"tag:cells:{record}"})
        one.raw["taints"].delete_many({})
        assert removed_words(one) == {("labels", f"tag:cells:{record}"), ("taints", record)}
    other.client.drop_database(other.raw.name)
    other.close()


@pytest.mark.parametrize("name", ["phonons", "validations", "calculations"])
def test_a_record_that_nothing_refers_to_was_deleted(filled, damage, name):
    in_use = filled.raw["dataset_members"].distinct("calculation")
    [row] = filled.raw[name].find({"_id": {"$nin": in_use}}).limit(1)
    with damage.removed(filled.raw[name], {"_id": row["_id"]}):
        beside = (FindingKind.ORPHAN_BLOB, FindingKind.ORPHAN_LABEL)  # of what is not there
        kinds = {f for f in found(filled) if f[0] not in beside}
        words = next(
            f.message
            for f in verify(filled, models=False).findings
            if f.kind is FindingKind.RECORDS_MISSING
        )
    activity = row["provenance"]["activity"]
    assert kinds == {(FindingKind.RECORDS_MISSING, "activities", activity)}
    said = filled.activities.get(activity).run.written[name]
    assert words.startswith(f"1 of the {said['n']} {name} that ")
    assert ("ids" in said) == (row["_id"] in words)
    assert filled.activities.get(activity).name in words


def test_a_record_that_no_activity_wrote(filled, damage):
    activity = filled.activities.one(kind="comparison")
    atoms = filled.structures.one().to_atoms()
    atoms.rattle(0.2, seed=3)
    other = Structure.from_atoms(atoms)
    other.provenance.activity = activity.id
    with damage.added(filled.raw["structures"], other.to_mongo().to_dict()):
        added = (FindingKind.RECORDS_ADDED, "activities", activity.id)
        assert added in found(filled)


def test_many_records_that_one_import_wrote(db, damage, data_folder, monkeypatch):
    """Beyond a hundred, ids are not listed: how many are missing is told all the same."""
    monkeypatch.setattr("forcebase.database.written.FEW", 3)
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    [activity] = db.activities.find()
    said = activity.run.written["calculations"]
    assert "ids" not in said
    assert said["n"] == db.calculations.count() > 4
    assert found(db) == set()
    ids = [row["_id"] for row in db.raw["calculations"].find({}, {"_id": 1}).limit(4)]
    with damage.removed(db.raw["calculations"], {"_id": {"$in": ids}}):
        findings = verify(db, models=False).findings
    [one] = [f for f in findings if f.kind is not FindingKind.ORPHAN_BLOB]  # their logs
    assert one.kind is FindingKind.RECORDS_MISSING
    assert one.message.startswith(f"4 of the {said['n']} calculations that import wse2_gpaw_pbe")


def _put(db, job):
    document = JobStoreDocument(
        uuid="a job",
        index=1,
        output=jsanitize(job["output"], strict=True, allow_bson=True),
        completed_at="2030-01-01T00:00:00.123456",
        metadata=job["metadata"],
        hosts=[],
        name="static",
    )
    db.job_store.update(document, save={DATA_STORE: [Blob]})


def test_an_output_in_the_job_store(db, damage, data_folder):
    path = sorted((data_folder.parent / "wse2_gpaw_new").glob("*.json"))[0]
    job = json.loads(path.read_text())
    _put(db, job)
    assert collect(db).jobs == 1
    sound = {FindingKind.PARENT_ELSEWHERE}
    kinds = lambda: {f.kind for f in verify(db, models=False).findings} - sound  # noqa: E731
    assert kinds() == set()
    outputs = db.raw["outputs"]
    spoil = lambda d: setitem(d, "name", "another")  # noqa: E731
    with damage.changed(outputs, {}, spoil):
        report = verify(db, models=False)
        [changed] = [f for f in report.findings if f.kind is FindingKind.OUTPUT_CHANGED]
        assert changed.record == "a job:1"
        assert not report.is_sound

    def again(document):
        document["completed_at"] = "2030-01-02T00:00:00"
        document["output"]["extra"] = 1

    with damage.changed(outputs, {}, again):
        assert kinds() == {FindingKind.OUTPUT_NEWER}
    with damage.removed(outputs, {}):
        assert kinds() == {FindingKind.OUTPUT_GONE}
        assert verify(db, models=False).is_sound


def test_a_block_that_says_other_than_the_records(filled, damage):
    """Its checksum made again, as an edit by hand may; one out of step is let pass."""
    method = filled.methods.one({"_cls": "Method.DFTMethod"}).id
    labels_of(filled, method, "")
    blocks = filled.raw["label_blocks"]
    block = blocks.find_one({"_id": f"{method}:"})
    names = [name for name in block if isinstance(block[name], dict) and "data" in block[name]]

    def spoil(document):
        energies = decode_array(document["energies"]).copy()
        energies[0] += 1.0
        document["energies"] = encode_array(energies, "<f8")
        document["checksum"] = _checksum({name: decode_array(document[name]) for name in names})

    bad = {(FindingKind.COPY_CHANGED, "label_blocks", f"{method}:")}
    assert found(filled) == set()
    with damage.changed(blocks, {"_id": block["_id"]}, spoil):
        assert labels_of(filled, method, "").energies[0] != decode_array(block["energies"])[0]
        assert found(filled) == bad
    with damage.changed(blocks, {"_id": block["_id"]}, lambda d: setitem(d, "checksum", NO_ID)):
        assert found(filled) == bad
    with damage.changed(blocks, {"_id": block["_id"]}, lambda d: setitem(d, "members", NO_ID)):
        assert found(filled) == set()


def test_a_golden_probe_that_was_removed(filled, damage):
    """With its checksum made again, and without the model being loaded."""

    def spoil(document):
        document["golden_probe"] = {}
        document["checksum"] = document_checksum(document)

    with damage.changed(filled.raw["methods"], {"_cls": "Method.ModelMethod"}, spoil) as before:
        assert found(filled) == {(FindingKind.PROBE_MISSING, "methods", before["_id"])}


@pytest.mark.parametrize("version", [6, SCHEMA_VERSION - 1])
def test_a_schema_version_that_was_lowered(db, settings, version):
    meta = db.raw[META]
    meta.update_one({"_id": "schema"}, {"$set": {"version": version}})
    with pytest.raises(DatabaseError, match=f"version {version}, and had {SCHEMA_VERSION}") as told:
        Database(settings)
    assert f'"version" to {SCHEMA_VERSION}' in told.value.hint
    meta.update_one({"_id": "schema"}, {"$set": {"version": SCHEMA_VERSION}})
    Database(settings).close()


def test_two_imports_of_one_file_leave_a_sound_database(db, settings, data_folder):
    """At the same time, each with a connection of its own: one activity, of all records."""
    from concurrent.futures import ThreadPoolExecutor

    def run(_):
        own = Database(settings)
        import_paths(own, [data_folder / "wse2_gpaw_pbe.extxyz"])
        own.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, range(3)))
    [activity] = db.activities.find()
    assert activity.run.state == "finished"
    assert activity.run.written["calculations"]["n"] == db.calculations.count()
    assert found(db) == set()


def test_records_that_were_there_before_count_for_who_wrote_them(db, data_folder):
    cells = [Structure.from_atoms(a) for a in _cells(data_folder)]
    Batch(structures=cells[:2]).write(db, Activity(id="first", kind="job", name="one"))
    Batch(structures=cells[1:4]).write(db, Activity(id="second", kind="job", name="two"))
    numbers = {a.id: a.run.written["structures"]["n"] for a in db.activities.find()}
    assert numbers == {"first": 2, "second": 2}
    assert found(db) == set()


def _cells(data_folder):
    from ase.io import read

    return read(data_folder / "wse2_gpaw_pbe.extxyz", ":6")


def test_what_an_archive_brings_is_counted_where_it_comes_to(filled, other_db, tmp_path, damage):
    """A part of what an activity wrote first, the rest later; what is removed then is missed."""
    phonon = filled.phonons.one()
    part = write_archive(filled, [("phonons", phonon.id)], tmp_path / "part.zip")[0]
    whole = write_archive(filled, [], tmp_path / "whole.zip")[0]
    read_archive(other_db, part)
    assert verify(other_db, models=False).findings == []
    read_archive(other_db, whole)
    assert {f.kind for f in verify(other_db, models=False).findings} <= {FindingKind.NOT_CHECKED}
    activity = filled.calculations.one().provenance.activity
    there, here = (db.activities.get(activity).run for db in (other_db, filled))
    assert there.written == here.written
    assert (there.counted, here.counted) == ("from an archive", "when written")
    with damage.removed(other_db.raw["phonons"], {}):
        read_archive(other_db, part)  # brings it back
        assert verify(other_db, models=False).is_sound
        other_db.raw["phonons"].delete_many({})
    with damage.removed(other_db.raw["validations"], {}):
        read_archive(other_db, part)  # which does not hold it: it stays missed
        kinds = {kind for kind, *_ in found(other_db)}
        assert FindingKind.RECORDS_MISSING in kinds


def test_a_comparison_that_is_made_again_after_it_was_removed_is_whole_again(filled, damage):
    model = filled.methods.one({"_cls": "Method.ModelMethod"}).id
    method = filled.methods.one({"_cls": "Method.DFTMethod"}).id
    before = list(filled.raw["validations"].find())
    filled.raw["validations"].delete_many({})
    assert FindingKind.RECORDS_MISSING in {kind for kind, *_ in found(filled)}
    compare(filled, model, method, "d:test")
    compare(filled, model, method)
    assert found(filled) == set()
    assert filled.raw["validations"].count_documents({}) == len(before)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("calculations", field) for field in ("energy", "structure", "method", "forces")),
        *(("structures", field) for field in ("numbers", "positions", "cell")),
        *(("datasets", field) for field in ("name", "members_root")),
        *(("dataset_members", field) for field in ("calculation", "dataset", "split")),
        *(("activities", field) for field in ("kind", "name")),
        *(("labels", field) for field in ("kind", "collection", "record")),
        *(("journal", field) for field in ("act", "at", "records")),
        *(("phonons", field) for field in ("method", "structure", "force_constants")),
        *(("label_blocks", field) for field in ("energies", "method")),
    ],
)
@pytest.mark.parametrize("value", [None, 7, [1], {"a": {"b": 1}}], ids=str)
def test_a_document_without_a_field_ends_no_verification(filled, damage, name, field, value):
    """Gone, or of another kind: the rest is looked at all the same."""
    labels_of(filled, filled.methods.one({"_cls": "Method.DFTMethod"}).id, "")

    def spoil(document):
        document.pop(field)
        if value is not None:
            document[field] = value

    collection = filled.raw[name]
    [one] = collection.find({field: {"$exists": True}}).limit(1)
    before = verify(filled, models=False)
    with damage.changed(collection, {"_id": one["_id"]}, spoil):
        report = verify(filled, models=False)
    assert not report.is_sound
    assert report.checked.keys() == before.checked.keys()


def test_how_far_a_taint_reaches_was_edited(filled, damage):
    member = filled.members.one(split="train")
    set_taint(filled, "calculations", member.calculation, "bad")
    assert stale_among(filled, "datasets", [member.dataset])
    assert found(filled) == set()
    wrong = {(FindingKind.CONTRADICTION, "taints", member.calculation)}

    def hide(document):
        document["reached"].remove(member.dataset)
        document["clear"].append(member.dataset)

    for spoil in (hide, lambda d: d["clear"].append(NO_ID), lambda d: d["reached"].append(NO_ID)):
        with damage.changed(filled.raw["taints"], {}, spoil):
            assert found(filled) == wrong
    remove_taint(filled, member.calculation)


def test_what_was_deleted_by_hand_comes_back_by_what_verify_says(db, data_folder):
    """Importing the file again, collecting again: the very records, and all is sound."""
    file = data_folder / "wse2_gpaw_unitcell.extxyz"
    import_paths(db, [file])
    job = json.loads(sorted((data_folder.parent / "wse2_gpaw_new").glob("*.json"))[0].read_text())
    _put(db, job)
    collect(db)
    assert import_paths(db, [file]).added == {}
    assert collect(db).jobs == 0
    for kind, again, hint in (
        ("import", lambda: import_paths(db, [file]).added, "Import the same file again"),
        ("job", lambda: collect(db).added, "`forcebase collect` makes them again"),
    ):
        activity = db.activities.one(kind=kind).id
        lost = db.calculations.raw.find_one_and_delete({"provenance.activity": activity})
        [missing] = [
            f for f in verify(db, models=False).findings if f.kind is FindingKind.RECORDS_MISSING
        ]
        assert missing.hint.startswith(hint)
        assert again() == {"calculations": 1}
        assert db.calculations.get(lost["_id"]).energy == lost["energy"]
        assert verify(db, models=False).is_sound
        assert again() == {}


def test_a_comparison_that_was_deleted_is_made_again(filled):
    [row] = filled.raw["validations"].find({"kind": "labels"}).limit(1)
    filled.raw["validations"].delete_one({"_id": row["_id"]})
    [one] = [f for f in verify(filled, models=False).findings if f.kind.is_damage]
    assert one.hint.startswith("Make the same comparison again")
    on = "d:test" if row["on"].get("split") else ""
    compare(filled, row["model"], row["reference"], *([on] if on else []))
    assert verify(filled, models=False).is_sound
