from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jobflow import Flow, job, run_locally

from forcebase.blob import Blob
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.makers.training import MACETrainMaker, member_frames, split_frames
from forcebase.models.evaluation import evaluate
from forcebase.models.golden_probe import check_probe
from forcebase.models.mace_calculator import load_mace
from forcebase.models.neutral_form import read_neutral
from forcebase.models.training_settings import QUICK
from forcebase.outputs import ModelOutput


@job(data=[Blob])
def publish(frames: Blob) -> dict:
    return {"forcebase": "candidates", "frames": frames}


def test_the_output_says_all_that_made_the_model(quick_model) -> None:
    output = quick_model.output
    assert set(output) == set(ModelOutput.__annotations__)
    assert output["weights"].sha256 == output["weights_sha256"]
    assert read_neutral(output["neutral"].data).elements == ["Se", "W"]
    assert output["hyperparameters"] == QUICK.as_settings()
    assert output["elements"] == ["Se", "W"]
    assert output["e0s"] == quick_model.selection["e0s"]
    assert output["dataset_job"] == {"name": "quick", "version": 1}
    assert set(output["package_versions"]) == {"forcebase", "mace-torch", "torch", "e3nn"}
    curve = output["learning_curve"]
    assert [entry["epoch"] for entry in curve] == list(range(QUICK.epochs))
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert output["n_parameters"] == sum(p.numel() for p in quick_model.load().network.parameters())


def test_the_learning_curve_is_that_of_the_model_in_ev_and_angstrom(quick_model) -> None:
    valid = quick_model.splits["valid"]
    found = evaluate(valid, quick_model.load()).frames
    best = min(quick_model.output["learning_curve"], key=lambda entry: entry["loss"])
    forces = np.abs(found.forces - valid.forces).mean()
    energies = (np.abs(found.energies - valid.energies) / valid.n_atoms).mean()
    assert forces == pytest.approx(best["force_mae"], rel=1e-4)
    assert energies == pytest.approx(best["energy_mae"], rel=1e-4)


def test_the_golden_probe_is_of_the_train_split(quick_model) -> None:
    probe, model = quick_model.output["golden_probe"], quick_model.load()
    assert check_probe(probe, model) < 1e-10
    first = evaluate(quick_model.splits["train"].take([0]), model).frames
    assert probe["energy"] == pytest.approx(first.energies[0], abs=1e-10)


@pytest.mark.training
def test_a_flow_trains_and_its_weights_go_to_the_data_store(quick_model, db, tmp_path) -> None:
    published = publish(quick_model.frames.to_blob())
    trained = MACETrainMaker(settings=QUICK).make(published.output, quick_model.selection)
    responses = run_locally(
        Flow([published, trained]),
        log=False,
        store=db.job_store,
        create_folders=True,
        root_dir=tmp_path,
        ensure_success=True,
    )
    output = responses[trained.uuid][1].output
    assert len(output["learning_curve"]) == QUICK.epochs
    raw = db.job_store.docs_store.query_one({"uuid": trained.uuid})
    assert "zlib_base64" not in raw["output"]["weights"]
    assert raw["output"]["weights"]["store"] == raw["output"]["neutral"]["store"] == "data"
    assert len(str(raw)) < 20_000 < len(output["weights"].data)
    loaded = db.job_store.get_output(trained.uuid, load=True)
    assert Blob.from_dict(loaded["weights"]) == output["weights"]
    assert not list(tmp_path.glob("*/mace-*")), "MACE's files stay behind"
    _check_that_the_same_seed_gives_the_same_model(quick_model, output["neutral"])


def _check_that_the_same_seed_gives_the_same_model(quick_model, neutral: Blob) -> None:
    """To float64's digits, that is: the last bits depend on memory and load."""
    again = load_mace(neutral.data, neutral.sha256)
    frames = quick_model.splits["test"]
    found, expected = (evaluate(frames, model).frames for model in (again, quick_model.load()))
    np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-9)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-6)


def test_splits_follow_the_ids_whatever_the_order_of_members(quick_model) -> None:
    selection, frames = quick_model.selection, quick_model.frames
    shuffled = {**selection, "members": selection["members"][::-1]}
    for split, chosen in split_frames(frames, shuffled).items():
        expected = [m["calculation"] for m in selection["members"] if m["split"] == split]
        assert list(chosen.ids) == expected
    reordered = split_frames(frames.take(np.arange(len(frames))[::-1]), selection)
    for split, chosen in quick_model.splits.items():
        assert reordered[split].to_blob() == chosen.to_blob()


def test_a_member_that_is_no_candidate_is_named(quick_model) -> None:
    short: Frames = quick_model.frames.take(range(5))
    with pytest.raises(InputError, match=r"quick are not among the candidates, c05"):
        split_frames(short, quick_model.selection)


def test_a_split_that_is_none_is_refused(quick_model) -> None:
    with pytest.raises(InputError, match=r"no split 'tests'. There are train, valid, test"):
        member_frames(quick_model.frames, quick_model.selection, "tests")


def test_a_maker_survives_the_road() -> None:
    maker = MACETrainMaker(settings=replace(QUICK, seed=7, lr=0.02))
    assert MACETrainMaker.from_dict(maker.as_dict()) == maker
