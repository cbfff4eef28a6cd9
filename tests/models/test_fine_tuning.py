"""A training that begins from another model's weights."""

from dataclasses import replace

import numpy as np
import pytest

from forcebase.blob import Blob
from forcebase.errors import ModelError
from forcebase.ingest.outputs import model_batch
from forcebase.makers.training import MACETrainMaker, split_frames
from forcebase.models.evaluation import evaluate
from forcebase.models.fine_tuning import load_parent, shifted_e0s
from forcebase.models.mace_calculator import load_mace
from forcebase.models.training_settings import QUICK
from forcebase.outputs import model_id


def test_shifted_e0s_take_up_another_zero_of_energy(training, model):
    frames = training.splits["train"]
    own = evaluate(frames, model).frames.energies
    moved = replace(frames, energies=own + 7.0 * frames.n_atoms)
    shifts = {s: e0 - training.e0s[s] for s, e0 in shifted_e0s(model, moved).items()}
    total = [sum(shifts[s] for s in atoms.symbols) for atoms in frames.atoms()]
    assert np.allclose(total, 7.0 * frames.n_atoms, atol=1e-6)


def test_only_a_mace_can_be_a_parent(training):
    weights = Blob(training.trained.weights)
    parent = {
        "kind": "CHGNet",
        "weights": weights,
        "neutral": Blob(training.trained.neutral),
        "weights_sha256": weights.sha256,
        "dtype": "float64",
        "head": None,
    }
    with pytest.raises(ModelError, match="CHGNet model cannot be tuned"):
        load_parent(parent)
    assert load_parent({**parent, "kind": "MACE"}).dtype == "float64"


def test_an_id_covers_what_changes_the_answers():
    model = {"kind": "ASE", "weights_sha256": "0" * 64, "dtype": "float64", "head": None}
    ids = {
        model_id(model),
        model_id({**model, "dtype": "float32"}),
        model_id({**model, "package": "ase 3.29.0"}),
        model_id({**model, "package": "ase 3.30.0"}),
        model_id({**model, "arguments": {"keywords": {"dispersion": True}}}),
    }
    assert len(ids) == 5
    assert model_id({**model, "package": None, "arguments": {}}) == model_id(model)


@pytest.mark.training
def test_a_child_that_learns_nothing_is_its_parent_but_for_the_zero_of_energy(
    db, store, quick_model, model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    alike = [i for i, n in enumerate(quick_model.frames.n_atoms) if n == 3]
    candidates = quick_model.frames.take(alike)
    members = [m for m in quick_model.selection["members"] if m["calculation"] in candidates.ids]
    selection = {**quick_model.selection, "members": members}
    job = MACETrainMaker(settings=replace(QUICK, epochs=1, lr=1e-13, ema_decay=0.0)).make(
        {"forcebase": "candidates", "frames": candidates.to_blob()},
        selection,
        parent=quick_model.output,
    )
    output = job.run(store).output
    frames = split_frames(candidates, selection)["train"]
    assert output["e0s"] == pytest.approx(shifted_e0s(model, frames))
    _check_answers(output, frames, model, quick_model.selection["e0s"])
    _check_that_it_names_its_parent(db, output, model_id(quick_model.output))


def _check_answers(output, frames, model, old):
    child = load_mace(output["neutral"].data, output["weights_sha256"])
    before, after = evaluate(frames, model).frames, evaluate(frames, child).frames
    assert np.allclose(after.forces, before.forces, atol=1e-8)
    assert np.allclose(after.stresses, before.stresses, atol=1e-8)
    shift = {symbol: e0 - old[symbol] for symbol, e0 in output["e0s"].items()}
    assert any(abs(moved) > 1e-3 for moved in shift.values())
    expected = [sum(shift[s] for s in atoms.symbols) for atoms in frames.atoms()]
    assert np.allclose(after.energies - before.energies, expected, atol=1e-7)
    assert abs((after.energies - frames.energies).mean()) < 1e-6


def _check_that_it_names_its_parent(db, output, parent):
    assert output["parent"] == parent
    (child,) = model_batch(db, {**output, "dataset_job": None}).methods
    edges = [(edge.role, edge.record) for edge in child.provenance.edges]
    assert edges == [("parent model", parent)]
    assert child.parent == parent
