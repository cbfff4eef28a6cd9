"""A model that came in an archive runs nothing before somebody here trusted it."""

import pickle

import pytest

from forcebase.actions.models import check_stored_model, convert_model, open_model
from forcebase.archive import read_archive, write_archive
from forcebase.comparison import compare
from forcebase.database.publishing import publish_model, stored_model
from forcebase.database.trust import (
    may_run,
    require_known_callable,
    trust,
    waiting,
    what_runs,
)
from forcebase.digest import bytes_digest
from forcebase.errors import InputError, ModelError
from forcebase.ingest.batch import Batch
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.records import Activity, ModelMethod


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def evil_model(kind, mark, probe):
    weights, arguments, package = pickle.dumps(Payload(mark)), {}, None
    if kind == "ASE":
        arguments = {"callable": "os:system", "keywords": {"command": f"touch {mark}"}}
        package = "os 1"
    model = ModelMethod(
        kind=kind,
        weights=bytes_digest(weights),
        dtype="float64",
        elements=["Se", "W"],
        arguments=arguments,
        package=package,
        golden_probe=probe,
    ).sealed()
    return Batch(blobs=[weights], methods=[model]), model


@pytest.fixture(params=["MACE", "CHGNet", "ASE"])
def brought(request, db, second, quick_model, tmp_path):
    """A model that would make a file, in another database than the one it was made in."""
    mark = tmp_path / "ran"
    batch, model = evil_model(request.param, mark, quick_model.output["golden_probe"])
    batch.write(db, Activity(id="evil", kind="import", name="evil"))
    db.names.name("theirs", "methods", model.id)
    path, _ = write_archive(db, [("methods", model.id)], tmp_path / "theirs.zip")
    read_archive(second, path)
    return second.require_model("theirs"), mark


def test_nothing_of_it_runs(second, brought):
    model, mark = brought
    report = verify(second)
    assert report.is_sound
    (finding,) = [f for f in report.findings if f.record == model.id]
    assert finding.kind is FindingKind.NOT_CHECKED
    assert "theirs.zip" in finding.message
    assert "model trust" in finding.hint
    for use in (stored_model, publish_model, open_model, check_stored_model, convert_model):
        with pytest.raises(ModelError, match=r"theirs\.zip"):
            use(second, model)
    assert not mark.exists()


def test_it_is_told_what_it_would_run(second, brought):
    model, _ = brought
    runs = what_runs(second, model)
    assert (runs.kind, runs.weights) == (model.kind, model.weights)
    assert runs.origin.startswith("theirs.zip (")
    assert waiting(second) == [model.id]
    if model.kind == "ASE":
        assert runs.callable == "os:system"
        assert "touch" in runs.keywords["command"]
        with pytest.raises(InputError, match="os:system"):
            require_known_callable(runs, None)
        with pytest.raises(InputError, match="would not run"):
            require_known_callable(runs, "posix:system")
        require_known_callable(runs, "os:system")


def test_trusted_it_runs_and_the_same_archive_again_changes_nothing(second, brought, tmp_path):
    model, mark = brought
    trust(second, model)
    assert may_run(second, model) is None
    assert waiting(second) == []
    read_archive(second, tmp_path / "theirs.zip")
    assert may_run(second, model) is None
    uses = {"MACE": convert_model, "ASE": check_stored_model}
    if model.kind == "MACE":  # whose file is opened to be converted, and for nothing else
        with pytest.raises(ModelError, match="has no neutral form"):
            check_stored_model(second, model)
        assert not mark.exists()
    if model.kind in uses:  # CHGNet may not be installed
        with pytest.raises(ModelError):
            uses[model.kind](second, model)  # it is not a model
        assert mark.exists()


def test_stored_records_of_it_can_be_compared(shelf, second, judged):
    read_archive(second, judged[0])
    model = second.require_model("mace")
    assert may_run(second, model) is None  # in its neutral form, which runs nothing
    second.methods.raw.update_one({"_id": model.id}, {"$unset": {"neutral": 1}})
    model = second.require_model("mace")
    assert may_run(second, model)
    second.validations.raw.delete_many({})
    assert compare(second, "mace", "gpaw-pbe", "d:test").metrics


def test_a_model_that_was_here_before_goes_on_running(shelf, judged):
    read_archive(shelf, judged[0])
    assert may_run(shelf, shelf.require_model("mace")) is None
