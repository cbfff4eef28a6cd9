"""`forcebase train`: what it chooses, says and finds again."""

import json

import pytest
from typer.testing import CliRunner

from forcebase.actions.datasets import build_dataset
from forcebase.cli.main import app
from forcebase.ingest.importing import import_paths


@pytest.fixture
def train(db, settings, data_folder, monkeypatch):
    """The command, on a dataset of unit cells."""
    monkeypatch.setenv("FORCEBASE_HOME", str(settings.home))
    monkeypatch.setenv("FORCEBASE_DATABASE", settings.database)
    import_paths(db, [data_folder / "wse2_gpaw_pbe.extxyz"])
    build_dataset(db, "small", {"kind": "pristine-1x1"})
    return lambda *said: CliRunner().invoke(app, ["train", "small", "--epochs", "1", *said])


@pytest.mark.training
def test_what_is_chosen_is_said_recorded_and_found_again(train, db):
    done = train("--threads", "1", "--json")
    assert done.exit_code == 0, done.output
    n_train = db.datasets.one(name="small").counts["train"]
    batch = min(8, n_train // 6)
    line = f"Training: 1 epoch, batches of {batch}, float32, 1 thread."
    assert line in " ".join(done.stderr.split())
    model = db.methods.get(json.loads(done.stdout)["id"])
    assert model.dtype == "float64"
    assert model.hyperparameters["batch_size"] == batch
    assert model.hyperparameters["lr"] == pytest.approx(0.01 * (batch / 2) ** 0.5)
    assert (model.hyperparameters["dtype"], model.hyperparameters["threads"]) == ("float32", 1)
    for said in ([], ["--dtype", "float32"], ["--batch-size", str(batch)]):
        again = train("--json", *said)
        assert json.loads(again.stdout)["id"] == model.id
        assert "Training" not in again.stderr
    assert db.methods.count(kind="MACE") == 1


@pytest.mark.parametrize(
    "said", [["--threads", "0"], ["--batch-size", "0"], ["--dtype", "float16"]]
)
def test_what_cannot_be_is_refused(train, db, said):
    assert train(*said).exit_code == 2
    assert db.methods.count(kind="MACE") == 0
