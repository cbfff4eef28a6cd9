"""Energies without stresses can be trained on: the loss leaves the stress out, and it is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.io import read

from forcebase.errors import InputError
from forcebase.makers.training import _lacking_stresses
from forcebase.models.mace_training import _write_split, train_mace
from forcebase.models.training_choice import choose_by_cells, has_stress
from forcebase.models.training_settings import QUICK

pytestmark = pytest.mark.training
E0S = {"W": -10.0, "Se": -3.0}
SETTINGS = replace(QUICK, epochs=2)


@pytest.fixture(scope="module")
def splits(unit_cells):
    return {"train": unit_cells.take(range(4)), "valid": unit_cells.take(range(4, 6))}


def without(frames, indices=None):
    stresses = frames.stresses.copy()
    stresses[slice(None) if indices is None else indices] = np.nan
    return replace(frames, stresses=stresses)


def test_no_stress_at_all(splits, tmp_path):
    bare = {name: without(frames) for name, frames in splits.items()}
    settings = choose_by_cells(SETTINGS, bare["train"])
    assert settings.stress_weight == 0
    assert "--loss=weighted" in settings.as_arguments()
    trained = train_mace(bare, E0S, settings, tmp_path)
    assert len(trained.learning_curve) == 2
    assert all(epoch.stress_mae is None for epoch in trained.learning_curve)
    assert all(np.isfinite(epoch.force_mae) for epoch in trained.learning_curve)
    assert "leaves the stress out" in _lacking_stresses(bare)["stress_labels"]


def test_some_stresses_are_used_and_the_rest_have_no_weight(splits, tmp_path):
    some = {**splits, "train": without(splits["train"], [0, 2])}
    settings = choose_by_cells(SETTINGS, some["train"])
    assert settings.stress_weight == SETTINGS.stress_weight
    trained = train_mace(some, E0S, settings, tmp_path)
    assert trained.learning_curve[-1].stress_mae is not None
    written = read(tmp_path / "train.extxyz", ":")
    assert ["REF_stress" in atoms.info for atoms in written] == has_stress(some["train"]).tolist()
    assert _lacking_stresses(some) == {"stress_labels": "2 of 4 in train, 2 of 2 in valid"}


def test_all_stresses_are_trained_on_as_before(splits):
    assert choose_by_cells(SETTINGS, splits["train"]).stress_weight == SETTINGS.stress_weight
    assert "--loss=stress" in SETTINGS.as_arguments()
    assert _lacking_stresses(splits) == {}


@pytest.mark.parametrize("label", ["energy", "forces"])
def test_a_missing_label_is_named_with_its_record(splits, label, tmp_path):
    train = splits["train"]
    energies, forces = train.energies.copy(), train.forces.copy()
    (energies if label == "energy" else forces)[0 if label == "energy" else (3, 1)] = np.nan
    lost = 0 if label == "energy" else 1
    bad = {**splits, "train": replace(train, energies=energies, forces=forces)}
    with pytest.raises(InputError, match=f"no finite {label}, as {train.ids[lost][:10]}"):
        _write_split(bad, "train", E0S, 4.5, tmp_path)
