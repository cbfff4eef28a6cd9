from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from jobflow import Flow, job, run_locally

from forcebase.blob import Blob
from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.makers.prediction import PredictMaker
from forcebase.models.evaluation import evaluate
from forcebase.outputs import PredictionsOutput


@job(data=[Blob])
def publish(output: dict) -> dict:
    return output


def candidates(frames: Frames) -> dict:
    return {"forcebase": "candidates", "frames": frames.to_blob()}


def predict(db, folder, model, frames, selection=None, maker=None):
    """Run the job with all inputs as references, as on a cluster; give (uuid, output)."""
    inputs = [publish(model), publish(candidates(frames))]
    references = [given.output for given in inputs]
    if selection is not None:
        inputs.append(publish(selection))
        references.append(inputs[-1].output)
    predicted = (maker or PredictMaker()).make(*references)
    responses = run_locally(
        Flow([*inputs, predicted]),
        log=False,
        store=db.job_store,
        create_folders=True,
        root_dir=folder,
        raise_immediately=True,
    )
    return predicted.uuid, responses[predicted.uuid][1].output


def test_predictions_are_the_models_and_travel_as_a_blob(quick_model, db, tmp_path) -> None:
    frames = quick_model.frames
    uuid, output = predict(db, tmp_path, quick_model.output, frames)
    assert set(output) == set(PredictionsOutput.__annotations__)
    assert output["weights_sha256"] == quick_model.output["weights_sha256"]
    found = Frames.from_blob(output["frames"])
    expected = evaluate(frames, quick_model.load()).frames
    assert list(found.ids) == list(frames.ids)
    np.testing.assert_allclose(found.energies, expected.energies, atol=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-10)
    np.testing.assert_allclose(found.stresses, expected.stresses, atol=1e-10)
    assert len(output["wall_times"]) == len(frames)
    assert sum(output["wall_times"]) <= output["wall_time"]

    raw = db.job_store.docs_store.query_one({"uuid": uuid})
    assert raw["output"]["frames"]["store"] == "data"
    assert len(str(raw)) < 5000 < len(output["frames"].data)


def test_a_selection_chooses_the_structures(quick_model, db, tmp_path) -> None:
    model, frames, selection = quick_model.output, quick_model.frames, quick_model.selection
    _, output = predict(db, tmp_path, model, frames, selection)
    assert list(Frames.from_blob(output["frames"]).ids) == list(quick_model.splits["test"].ids)
    members = {**selection, "members": selection["members"][:4]}
    _, output = predict(db, tmp_path, model, frames, members, PredictMaker(split=None))
    assert list(Frames.from_blob(output["frames"]).ids) == list(frames.ids[:4])


def test_labels_of_the_candidates_are_not_looked_at(quick_model, db, tmp_path) -> None:
    few = quick_model.frames.take(range(3))
    blank = replace(few, energies=few.energies * np.nan, forces=few.forces * 0)
    one, other = (
        Frames.from_blob(predict(db, tmp_path, quick_model.output, given)[1]["frames"])
        for given in (few, blank)
    )
    assert list(one.ids) == list(other.ids)
    for name in ("energies", "forces", "stresses"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-10)


def test_no_candidates_give_no_predictions(quick_model, db, tmp_path) -> None:
    _, output = predict(db, tmp_path, quick_model.output, quick_model.frames.take([]))
    assert len(Frames.from_blob(output["frames"])) == 0
    assert output["wall_times"] == []


def test_a_model_that_cannot_be_trusted_is_refused(quick_model, db, tmp_path) -> None:
    frames = quick_model.frames.take([0])
    drifted = copy.deepcopy(quick_model.output)
    drifted["golden_probe"]["energy"] += 1e-3
    with pytest.raises(ModelError, match="no longer gives the answers"):
        predict(db, tmp_path, drifted, frames)
    spoilt = {**quick_model.output, "neutral": Blob(quick_model.output["neutral"].data[:-9])}
    with pytest.raises(ModelError, match="cut off or damaged"):
        predict(db, tmp_path, spoilt, frames)
    bare = {**quick_model.output, "neutral": None}
    with pytest.raises(ModelError, match="has no neutral form") as caught:
        predict(db, tmp_path, bare, frames)
    assert "forcebase model convert" in str(caught.value)
    copper = Frames.from_atoms([bulk("Cu")], ids=["cu"])
    with pytest.raises(ModelError, match="does not know Cu"):
        predict(db, tmp_path, quick_model.output, copper)
