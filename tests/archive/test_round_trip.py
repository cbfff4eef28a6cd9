"""What is exported here is, read elsewhere, the same: ids, bytes, names, metrics."""

import pytest

from forcebase.actions.models import open_model
from forcebase.archive import ArchiveReport, Description, read_archive, write_archive
from forcebase.archive.contents import gather
from forcebase.archive.layout import order
from forcebase.blob import Blob
from forcebase.comparison import compare
from forcebase.datasets.export import export
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.ingest.outputs import phonon_record
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.provenance.taint import stale_among
from forcebase.records import Activity
from forcebase.records.base import utc_now
from forcebase.records.kinds import kind_of


def contents(db, names=order()):
    """What an archive is of: neither the imports of archives, nor how activities went here."""
    found = {}
    for name in names:
        hidden = dict.fromkeys(kind_of(name).document.OPEN_FIELDS, 0) or None
        own = {"source.archive": {"$exists": False}}
        found[name] = list(db.raw[name].find(own, hidden).sort("_id", 1))
    return found


def test_everything_is_the_same_in_an_empty_database(shelf, second, tmp_path):
    path, manifest = write_archive(shelf, [], tmp_path / "all.zip")
    assert isinstance(read_archive(second, path), ArchiveReport)
    assert contents(second) == contents(shelf)
    assert {name for name, n in manifest.documents.items() if not n} == {"equivalences"}
    report = verify(second)
    assert report.is_sound, report.findings
    phonon = second.phonons.one().id
    assert "supercell" in stale_among(second, "phonons", [phonon])[phonon]


def test_a_comparison_is_reproduced_from_its_archive(shelf, second, judged, tmp_path):
    read_archive(second, judged[0])
    there, here = second.resolve("judged")[1], shelf.resolve("judged")[1]
    assert (there.id, there.metrics, there.leakage) == (here.id, here.metrics, here.leakage)
    second.validations.raw.delete_many({})  # so that it is computed, not found
    again = compare(second, "mace", "gpaw-pbe", "d:test").validation
    assert (again.id, again.metrics) == (here.id, here.metrics)
    written = [
        [path.read_bytes() for path in export(db, db.resolve("d@1")[1], tmp_path / name)]
        for name, db in (("here", shelf), ("there", second))
    ]
    assert written[0] == written[1]


def test_a_comparison_on_a_query_brings_what_it_used(shelf, second, tmp_path):
    [queried] = [v for v in shelf.validations.find() if v.on["dataset"] is None]
    read_archive(second, write_archive(shelf, [("validations", queried.id)], tmp_path / "a.zip")[0])
    second.validations.raw.delete_many({})
    assert compare(second, "mace", "gpaw-pbe").validation.id == queried.id


def test_weights_come_along_in_both_forms_and_the_neutral_one_answers(second, judged, quick_model):
    read_archive(second, judged[0])
    model = second.require_model("mace")
    assert second.blobs.get(model.weights) == quick_model.output["weights"].data
    assert second.blobs.get(model.neutral) == quick_model.output["neutral"].data
    frames = quick_model.frames.take([0])
    found = open_model(second, model).label(frames).energies
    assert found == quick_model.load().label(frames).energies


def test_a_phonon_comes_with_its_force_constants_and_without_the_rest(shelf, second, tmp_path):
    phonon = shelf.phonons.one()
    path, _ = write_archive(shelf, [("phonons", phonon.id)], tmp_path / "p.zip")
    read_archive(second, path)
    there = second.phonons.get(phonon.id)
    assert second.blobs.get(there.force_constants) == shelf.blobs.get(phonon.force_constants)
    assert second.datasets.count() == second.validations.count() == 0
    assert verify(second).is_sound


def test_all_that_a_record_names_is_in(shelf):
    model = shelf.require_model("mace")
    found = gather(shelf, [("methods", model.id)])
    assert found.ids["datasets"] == {model.dataset}
    members = shelf.members.find(dataset=model.dataset)
    assert found.ids["dataset_members"] == {member.id for member in members}
    assert {member.calculation for member in members} <= found.ids["calculations"]
    logs = {row["log"] for row in shelf.calculations.raw.find({"log": {"$ne": None}})}
    assert found.blobs == {model.weights, model.neutral, *logs}


def test_the_same_records_give_the_same_bytes_wherever_they_are(shelf, second, judged, tmp_path):
    place, record = shelf.resolve("judged")
    again, _ = write_archive(shelf, [(place, record.id)], tmp_path / "again.zip")
    assert again.read_bytes() == judged[0].read_bytes()
    read_archive(second, again)
    elsewhere, _ = write_archive(second, [(place, record.id)], tmp_path / "elsewhere.zip")
    assert elsewhere.read_bytes() == judged[0].read_bytes()


def test_known_records_and_names_stay_as_they_are(shelf, second, judged):
    other = shelf.structures.one().id
    second.names.name("judged", "structures", other)
    first = read_archive(second, judged[0])
    before = contents(second)
    report = read_archive(second, judged[0])
    assert contents(second) == before
    assert report.added == {}
    assert first.kept_names == report.kept_names == ["judged"]
    assert second.names.named("judged") == ("structures", other)
    assert sum(report.known.values()) == sum(first.added.values())


def test_another_dataset_of_the_same_title_is_refused(second, judged):
    second.datasets.raw.insert_one(
        {
            "_id": "0" * 64,
            "name": "d",
            "version": 1,
            "method": "0" * 64,
            "members_root": "0" * 64,
            "counts": {"train": 0},
            "e0s": {"W": 0.0},
            "e0s_source": "given",
            "provenance": {"edges": []},
            "created_at": utc_now(),
        }
    )
    with pytest.raises(InputError, match="Another dataset is called d@1"):
        read_archive(second, judged[0])
    assert second.structures.count() == 0


def test_an_import_that_was_cut_short_is_finished_by_the_next(shelf, second, judged, monkeypatch):
    def killed(documents):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(second.calculations, "add_stored", killed)
        with pytest.raises(KeyboardInterrupt):
            read_archive(second, judged[0])
    assert second.structures.count() > 0 == second.datasets.count()
    found = verify(second)
    not_run = FindingKind.NOT_CHECKED  # its model is in quarantine
    assert set(found.counts) <= {FindingKind.UNFINISHED, FindingKind.LEFT_OVER, not_run}
    [unfinished] = [f for f in found.findings if f.kind is FindingKind.UNFINISHED]
    assert judged[0].name in unfinished.message
    assert found.is_sound
    read_archive(second, judged[0])
    assert second.resolve("judged")[1].metrics == shelf.resolve("judged")[1].metrics
    found = verify(second)
    assert set(found.counts) <= {not_run}


def test_a_file_that_is_there_is_not_overwritten(shelf, judged):
    before = judged[0].read_bytes()
    with pytest.raises(InputError, match="is there already"):
        write_archive(shelf, [], judged[0], Description())
    assert judged[0].read_bytes() == before


def elsewhere(db, energy=0.0, constants=0.0):
    """Have a model give other numbers there: a label, and a phonon's force constants."""
    [model] = [method for method in db.methods.find() if method.is_model]
    label = db.calculations.one(method=model.id, sort="id")
    label.energy += energy
    db.calculations.raw.replace_one({"_id": label.id}, label.to_mongo())
    dft = db.phonons.one(method_class="dft")
    arrays = Blob(db.blobs.get(dft.force_constants)).arrays()
    blob = Blob.from_arrays(force_constants=arrays["force_constants"] + constants)
    phonon = phonon_record(
        db.structures.get(dft.structure),
        model,
        dft.supercell_matrix,
        dft.primitive_matrix,
        dft.masses,
        blob,
        {"method": "displacements", "displacement_A": 0.02},
    )
    batch = Batch(blobs=[blob.data], phonons=[phonon])
    batch.write(db, Activity(id=f"phonon:{energy}", kind="job", name="phonon"))
    return phonon.id


@pytest.mark.parametrize(
    ("energy", "constants", "kinds"),
    [(1e-12, 1e-7, []), (0.5, 0.2, ["phonon", "prediction"])],
)
def test_what_a_model_gave_elsewhere_is_held_to_what_it_gave_here(
    shelf, db, second, tmp_path, energy, constants, kinds
):
    path, _ = write_archive(shelf, [], tmp_path / "all.zip")
    for base in (db, second):
        read_archive(base, path)
    ids = {elsewhere(db), elsewhere(second, energy, constants)}
    assert len(ids) == 1
    before = contents(db)
    other, _ = write_archive(second, [], tmp_path / "other.zip")
    report = read_archive(db, other)
    assert "calculations" not in report.added
    assert "phonons" not in report.added
    assert "blobs" not in report.added
    for name in ("calculations", "phonons"):
        assert contents(db)[name] == before[name]
    found = [f for a in db.activities.find() for f in a.findings]
    assert sorted(f["kind"] for f in found) == kinds
    assert len(report.findings) == len(kinds)
    sound = verify(db, models=False)
    assert sound.is_sound, sound.findings
