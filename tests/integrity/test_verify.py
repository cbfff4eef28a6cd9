"""Every kind of damage is done for real, and found and named."""

from operator import setitem

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from forcebase.database.database import Database
from forcebase.database.installation import migrate
from forcebase.errors import MissingDependencyError
from forcebase.ingest.outputs import model_batch
from forcebase.integrity import findings, record_checks
from forcebase.integrity.findings import FindingKind, Verification
from forcebase.integrity.stored_view import stored_digest
from forcebase.integrity.verify import verify
from forcebase.provenance.references import value_at
from forcebase.records import Activity, Record, Run
from forcebase.records.base import DIGEST_PATTERN, document_checksum
from forcebase.records.kinds import kinds

NO_ID = "0" * 64


def found(db, models=False):
    """What a verification finds, as (kind, collection, record)."""
    report = verify(db, models=models)
    assert sum(report.counts.values()) == len(report.findings)
    assert all(finding.message and finding.hint for finding in report.findings)
    return {(f.kind, f.collection, f.record) for f in report.findings}


def test_what_was_written_properly_is_sound(filled):
    stages = []
    report = verify(filled, progress=lambda stage, done, total, _: stages.append((stage, total)))
    assert report.findings == []
    assert report.is_sound
    for name, collection in filled.record_collections.items():
        assert report.checked.get(name, 0) == collection.count()
        assert collection.count() > 0 or name == "equivalences"
    assert report.checked["models"] == 1
    assert {stage for stage, _ in stages} == {name for name, n in report.checked.items() if n}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("structures", ("positions", "data")),
        ("structures", ("cell", "data")),
        ("structures", ("numbers", "data")),
        ("calculations", ("forces", "data")),
        ("calculations", ("stress", "data")),
        ("phonons", ("masses", "data")),
    ],
)
@pytest.mark.parametrize("place", [0, -1])
def test_one_bit_of_a_stored_array(filled, damage, name, path, place):
    """The lowest bit of a position is below the digest's grid; the checksum sees it."""

    def spoil(document):
        array = document[path[0]]
        array[path[1]] = damage.flip(array[path[1]], place % len(array[path[1]]))

    with damage.changed(filled.raw[name], {path[0]: {"$exists": True}}, spoil) as before:
        kinds = {
            kind
            for kind, where, record in found(filled)
            if (where, record) == (name, before["_id"])
        }
    assert len(kinds) == 1
    assert kinds <= {FindingKind.CONTENT_CHANGED, FindingKind.RECORD_CHANGED}


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("calculations", lambda d: setitem(d, "energy", d["energy"] + 1e-9), "CONTENT_CHANGED"),
        ("calculations", lambda d: setitem(d, "converged", False), "CONTENT_CHANGED"),
        ("calculations", lambda d: setitem(d, "formula", "W"), "RECORD_CHANGED"),
        ("calculations", lambda d: setitem(d, "wall_time", 0.0), "RECORD_CHANGED"),
        ("structures", lambda d: setitem(d, "family", NO_ID), "RECORD_CHANGED"),
        (
            "methods",
            lambda d: setitem(d, "created_at", d["created_at"].replace(year=1999)),
            "RECORD_CHANGED",
        ),
        ("datasets", lambda d: setitem(d["e0s"], "W", 0.0), "CONTENT_CHANGED"),
        ("datasets", lambda d: setitem(d["counts"], "train", 7), "MEMBERS_CHANGED"),
        ("phonons", lambda d: setitem(d["protocol"], "fmax_eV_per_A", 1.0), "CONTENT_CHANGED"),
        ("validations", lambda d: setitem(d, "metrics", {}), "CONTENT_CHANGED"),
        ("structures", lambda d: d.pop("checksum"), "UNSEALED"),
        ("structures", lambda d: d.pop("positions"), "MALFORMED"),
        ("structures", lambda d: setitem(d, "cell", 7), "MALFORMED"),
        ("calculations", lambda d: setitem(d, "comment", "?"), "MALFORMED"),
        ("calculations", lambda d: setitem(d, "provenance", "?"), "MALFORMED"),
        ("methods", lambda d: setitem(d, "_cls", "Method.Guess"), "MALFORMED"),
        ("activities", lambda d: setitem(d, "kind", "rumour"), "MALFORMED"),
        ("labels", lambda d: d.pop("kind"), "MALFORMED"),
        ("dataset_members", lambda d: d.pop("split"), "MALFORMED"),
        ("calculations", lambda d: d["provenance"]["edges"].pop(0), "CONTRADICTION"),
    ],
)
def test_a_document_edited_by_hand(filled, damage, name, change, kind):
    with damage.changed(filled.raw[name], {}, change) as before:
        assert (FindingKind[kind], name, before["_id"]) in found(filled)


def test_a_structure_that_was_removed_is_missed_by_all_that_name_it(filled, damage):
    calculation = filled.calculations.one()
    with damage.removed(filled.raw["structures"], {"_id": calculation.structure}):
        report = verify(filled, models=False)
    named = {f.record: f for f in report.findings if f.kind is FindingKind.BROKEN_EDGE}
    assert calculation.id in named
    assert named[calculation.id].expected == f"structures {calculation.structure}"
    assert not report.is_sound


@pytest.mark.parametrize("name", ["methods", "activities", "datasets", "calculations"])
def test_nothing_can_be_removed_unseen(filled, damage, name):
    query = {"_id": {"$in": filled.raw["calculations"].distinct("provenance.activity")}}
    with damage.removed(filled.raw[name], query if name == "activities" else {}):
        kinds = {kind for kind, _, _ in found(filled)}
    assert FindingKind.BROKEN_EDGE in kinds


def test_a_model_of_another_package_is_asked_by_its_own(db, monkeypatch):
    from forcebase.actions.models import add_model
    from forcebase.models.sources import Source

    model = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=("Cu", "Au")))
    assert verify(db).findings == []

    def missing(*_):
        raise MissingDependencyError("chgnet is not installed.", hint="Install it.")

    def broken(*_):
        raise ZeroDivisionError("in a package of somebody else")

    for opening, kind in ((missing, "NOT_CHECKED"), (broken, "PROBE_FAILED")):
        monkeypatch.setattr("forcebase.models.golden_probe.load_model", opening)
        report = verify(db)
        assert [(f.kind.name, f.record) for f in report.findings] == [(kind, model.id)]
        assert report.is_sound == (opening is missing)


def test_a_kind_of_model_whose_package_is_not_installed_is_no_damage(db, monkeypatch):
    from forcebase.actions.models import add_model
    from forcebase.models.sources import Source

    model = add_model(db, Source("ase", "ase.calculators.emt:EMT", elements=("Cu", "Au")))
    monkeypatch.setattr("forcebase.integrity.model_checks.names", lambda group: ("CHGNet",))
    report = verify(db)
    assert [(f.kind, f.record) for f in report.findings] == [(FindingKind.NOT_CHECKED, model.id)]
    assert "'ASE'" in report.findings[0].message
    assert report.is_sound


def test_a_parent_that_was_never_here_is_told_and_no_damage(db, data_folder):
    from forcebase.ingest.importing import import_paths

    import_paths(db, [data_folder.parent / "wse2_gpaw_new" / "0000.json"])
    report = verify(db)
    assert [f.kind for f in report.findings] == [FindingKind.PARENT_ELSEWHERE]
    assert report.is_sound


def test_an_edge_to_another_record_than_the_field_names(filled, damage):
    other = filled.structures.find(sort="-id", limit=1)[0].id

    def spoil(document):
        document["provenance"]["edges"][0]["record"] = other
        document["checksum"] = document_checksum(document)

    query = {"structure": {"$ne": other}}
    with damage.changed(filled.raw["calculations"], query, spoil) as before:
        assert (FindingKind.CONTRADICTION, "calculations", before["_id"]) in found(filled)


def test_one_bit_of_a_blob(filled, damage):
    """Of a model's file, which is not opened, and of its neutral form, which it is loaded from."""
    model = filled.methods.one({"_cls": "Method.ModelMethod"})
    for blob, expected in (
        (model.weights, {FindingKind.BLOB_CHANGED}),
        (model.neutral, {FindingKind.BLOB_CHANGED, FindingKind.PROBE_FAILED}),
    ):
        with damage.changed(
            filled.raw["blobs.chunks"],
            {"files_id": blob, "n": 0},
            lambda d: setitem(d, "data", damage.flip(d["data"], 1000)),
        ):
            report = found(filled, models=True)
        assert (FindingKind.BLOB_CHANGED, "blobs.files", blob) in report
        assert {kind for kind, _, _ in report} == expected


def test_a_blob_that_was_deleted(filled, damage):
    phonon = filled.phonons.one()
    files, chunks = filled.raw["blobs.files"], filled.raw["blobs.chunks"]
    with damage.removed(files, {"_id": phonon.force_constants}):
        half = found(filled)
        with damage.removed(chunks, {"files_id": phonon.force_constants}):
            whole = found(filled)
    missing = (FindingKind.BLOB_MISSING, "phonons", phonon.id)
    assert whole == {missing}
    assert half == {missing, (FindingKind.ORPHAN_CHUNKS, "blobs.chunks", phonon.force_constants)}


def test_a_chunk_that_was_lost(filled, damage):
    weights = filled.methods.one({"_cls": "Method.ModelMethod"}).weights
    with damage.removed(filled.raw["blobs.chunks"], {"files_id": weights, "n": 0}):
        assert (FindingKind.BLOB_CHANGED, "blobs.files", weights) in found(filled)


def test_a_blob_that_no_record_names(filled):
    sha256 = filled.blobs.put(b"nobody's")
    report = found(filled)
    filled.raw["blobs.files"].delete_one({"_id": sha256})
    filled.raw["blobs.chunks"].delete_many({"files_id": sha256})
    assert report == {(FindingKind.ORPHAN_BLOB, "blobs.files", sha256)}


def test_outputs_of_jobs(filled, damage):
    """The raw truth that records were made from."""
    file = filled.raw["data.files"].find_one()
    chunk = {"files_id": file["_id"], "n": 0}
    bad = (FindingKind.BLOB_CHANGED, "data.files", str(file["_id"]))
    middle = len(filled.raw["data.chunks"].find_one(chunk)["data"]) // 2
    with damage.changed(
        filled.raw["data.chunks"],
        chunk,
        lambda d: setitem(d, "data", damage.flip(d["data"], middle)),
    ):
        assert found(filled) == {bad}
    with damage.removed(filled.raw["data.chunks"], chunk):
        assert bad in found(filled)
    lost = {"_id": ObjectId(), "files_id": ObjectId(), "n": 0, "data": b"?"}
    with damage.added(filled.raw["data.chunks"], lost):
        orphan = (FindingKind.ORPHAN_CHUNKS, "data.chunks", str(lost["files_id"]))
        assert found(filled) == {orphan}


def test_a_member_that_left_a_dataset_or_changed_its_split(filled, damage):
    dataset = filled.datasets.one()
    members = filled.raw["dataset_members"]
    changed = {(FindingKind.MEMBERS_CHANGED, "datasets", dataset.id)}
    with damage.removed(members, {"_id": members.find_one({"split": "test"})["_id"]}):
        assert found(filled) == changed
    move = lambda d: setitem(d, "split", "train")  # noqa: E731
    with damage.changed(members, {"split": "test"}, move) as before:
        edited = (FindingKind.RECORD_CHANGED, "dataset_members", before["_id"])
        assert found(filled) == {*changed, edited}


def test_a_member_of_another_structure_or_of_no_dataset(filled, damage):
    members = filled.raw["dataset_members"]
    spoil = lambda d: setitem(d, "structure", NO_ID)  # noqa: E731
    with damage.changed(members, {"split": "test"}, spoil) as before:
        kinds = {(kind, record) for kind, _, record in found(filled)}
        assert (FindingKind.CONTRADICTION, before["_id"]) in kinds
    row = {**members.find_one({"split": "train"}), "_id": f"{NO_ID}:c", "dataset": NO_ID}
    with damage.added(members, row):
        assert found(filled) == {(FindingKind.ORPHAN_MEMBER, "dataset_members", NO_ID)}


def test_names_and_taints_of_nothing(filled, damage):
    filled.names.name("ghost", "phonons", NO_ID)
    label = {(FindingKind.ORPHAN_LABEL, "labels", "name:ghost")}
    assert found(filled) == label
    filled.names.unname("ghost")
    with damage.removed(filled.raw["validations"], {}) as documents:
        filled.names.name("gone", "validations", documents[0]["_id"])
        acts = {document["provenance"]["activity"] for document in documents}
        lists = {document["inputs"] for document in documents if "inputs" in document}
        assert lists
        assert found(filled) == {
            (FindingKind.ORPHAN_LABEL, "labels", "name:gone"),
            *((FindingKind.RECORDS_MISSING, "activities", act) for act in acts),
            *((FindingKind.ORPHAN_BLOB, "blobs.files", blob) for blob in lists),
        }
    filled.names.unname("gone")


def test_a_validator_that_was_taken_off(filled):
    options = next(filled.raw.list_collections(filter={"name": "labels"}))["options"]
    filled.raw.command("collMod", "labels", validator={})
    report = found(filled)
    filled.raw.command("collMod", "labels", validator=options["validator"])
    assert report == {(FindingKind.NO_VALIDATOR, "labels", "")}


def test_a_model_that_answers_otherwise(filled, damage):
    """A probe whose energy was not this model's: what another version of a package would give."""

    def spoil(document):
        document["golden_probe"]["energy"] += 1e-3
        document["checksum"] = document_checksum(document)

    models = {"_cls": "Method.ModelMethod"}
    with damage.changed(filled.raw["methods"], models, spoil) as before:
        probe = (FindingKind.PROBE_FAILED, "methods", before["_id"])
        assert found(filled, models=True) == {probe}
        assert found(filled, models=False) == set()


def test_a_report_keeps_some_findings_and_counts_all(monkeypatch):
    monkeypatch.setattr(findings, "KEPT", 3)
    report = Verification()
    one = findings.Finding(FindingKind.ORPHAN_BLOB, "blobs.files", "a", "m", "h")
    report.add([one] * 5)
    assert len(report.findings) == 3
    assert report.counts == {FindingKind.ORPHAN_BLOB: 5}
    assert not report.is_sound


def test_every_field_that_names_a_record_or_a_blob_is_looked_at():
    """By what the records' own descriptions say of their fields."""
    blobs, references = set(), set()
    for document in (one for kind in kinds() for one in kind.classes):
        name = document._meta["collection"]
        for field_name, field in document._fields.items():
            pattern = getattr(getattr(field, "regex", None), "pattern", None)
            if not issubclass(document, Record) or pattern != DIGEST_PATTERN:
                continue
            if field_name in ("id", "checksum") or field_name.endswith(("_root", "_digest")):
                continue
            is_blob = "blob" in getattr(field, "help_text", "")
            (blobs if is_blob else references).add((name, field_name))
    named = {(kind.name, blob.field) for kind in kinds() for blob in kind.blobs}
    assert blobs == {(name, field) for name, field in named if "." not in field}
    assert "blob" in Run._fields["raw_file"].help_text
    assert named - blobs == {("activities", "run.raw_file")}
    listed = {(kind.name, ref.field) for kind in kinds() for ref in kind.references}
    assert references == {(name, field) for name, field in listed if "." not in field}


def test_a_stored_document_has_the_digest_of_its_record(filled):
    for collection in filled.record_collections.values():
        for record in collection.find(limit=5):
            stored = collection.raw.find_one({"_id": record.id})
            assert stored_digest(stored, collection.document) == record.digest() == record.id


@settings(max_examples=50)
@given(st.data())
def test_the_checksum_covers_every_field(filled, data):
    document = filled.raw["calculations"].find_one()
    assert document_checksum(document) == document["checksum"]
    shuffled = data.draw(st.permutations(list(document)))
    assert document_checksum({key: document[key] for key in shuffled}) == document["checksum"]
    lost = data.draw(st.sampled_from(sorted(set(document) - {"checksum"})))
    changed = {key: value for key, value in document.items() if key != lost}
    assert document_checksum(changed) != document["checksum"]


def test_a_value_at_a_path():
    assert value_at({"a": {"b": 1}}, "a.b") == 1
    assert value_at({"a": "text"}, "a.b") is None
    assert value_at({}, "a.b") is None


def test_records_are_looked_up_together(filled, monkeypatch):
    """Two records of one batch with one parent ask for it once."""
    asked = []
    missing = type(filled.structures).missing

    def counting(self, ids):
        asked.append((self.name, len(set(ids))))
        return missing(self, ids)

    monkeypatch.setattr(type(filled.structures), "missing", counting)
    rows = list(filled.raw["calculations"].find())
    assert list(record_checks.check_records(filled, filled.calculations, rows)) == []
    assert sorted(name for name, _ in asked) == ["activities", "methods", "structures"]


def test_records_of_an_older_schema_are_sealed_once(settings, quick_model):
    """As version 3 left them: no checksums. What is edited after the migration is seen."""
    db = Database(settings)
    made = model_batch(db, {**quick_model.output, "dataset": None, "dataset_job": None})
    made.write(db, Activity(id="training:1", kind="job", name="train"))
    db.raw["methods"].update_many({}, {"$unset": {"checksum": 1}})
    assert FindingKind.UNSEALED in {kind for kind, _, _ in found(db)}
    db.raw["meta"].replace_one({"_id": "schema"}, {"version": 3})
    migrate(db.raw)
    assert found(db, models=True) == set()
    db.raw["methods"].update_one({}, {"$set": {"seed": 7}})
    assert {kind for kind, _, _ in found(db)} == {FindingKind.RECORD_CHANGED}
    db.close()
