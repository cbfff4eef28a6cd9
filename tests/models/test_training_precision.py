"""A model trained in float32 is applied in float64."""

from dataclasses import replace

import numpy as np
import pytest

from forcebase.digest import bytes_digest
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import load_mace
from forcebase.models.mace_training import train_mace

STEP = 1e-5
"""angstrom; in float32 the energies of two such cells are the same."""


@pytest.fixture(scope="module")
def trained(training, tmp_path_factory):
    """A training in float32, looked at every third epoch or more often."""
    settings = replace(training.settings, dtype="float32", epochs=5, eval_interval=3)
    folder = tmp_path_factory.mktemp("single")
    return train_mace(training.splits, training.e0s, settings, folder)


def answers(trained, frames, dtype):
    model = load_mace(trained.neutral, bytes_digest(trained.weights), dtype)
    return evaluate(frames, model).frames


@pytest.mark.training
def test_forces_are_the_gradient_to_what_float64_resolves(trained, training):
    atoms = next(training.splits["valid"].take([0]).atoms())
    displaced = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[1, 0] += sign * STEP
        displaced.append(moved)
    frames = Frames.from_atoms([atoms, *displaced], ids=["0", "+", "-"])
    found = answers(trained, frames, "float64")
    gradient = (found.energies[1] - found.energies[2]) / (2 * STEP)
    assert found.forces[1, 0] == pytest.approx(-gradient, abs=1e-7)
    coarse = answers(trained, frames, "float32")
    np.testing.assert_allclose(coarse.energies, found.energies, atol=1e-4)
    np.testing.assert_allclose(coarse.forces, found.forces, atol=1e-3)


@pytest.mark.training
def test_the_curve_is_that_of_the_epochs_looked_at(trained, training):
    curve = trained.learning_curve
    assert [epoch.epoch for epoch in curve] == [0, 2, 4]
    valid = training.splits["valid"]
    found = answers(trained, valid, "float64")
    best = min(curve, key=lambda epoch: epoch.loss)
    assert np.abs(found.forces - valid.forces).mean() == pytest.approx(best.force_mae, rel=1e-3)
    energies = np.abs(found.energies - valid.energies) / valid.n_atoms
    assert energies.mean() == pytest.approx(best.energy_mae, rel=1e-2)
