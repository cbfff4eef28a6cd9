from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from ase.build import bulk

from forcebase.digest import bytes_digest
from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import load_mace


def test_a_pickle_is_not_opened(training, tmp_path) -> None:
    class Touch:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    harmful = pickle.dumps(Touch())
    for file in (harmful, training.trained.weights, b"this is not a model"):
        with pytest.raises(ModelError, match="no whole safetensors file"):
            load_mace(file, bytes_digest(file))
    assert not (tmp_path / "ran").exists()
    pickle.loads(harmful)  # it does what it says
    assert (tmp_path / "ran").exists()


def test_one_digest_is_loaded_once_and_frozen(training, model) -> None:
    first, again = (load_mace(training.trained.neutral, model.weights_sha256) for _ in range(2))
    assert again is first
    assert not any(p.requires_grad for p in model.network.parameters())
    assert model.numbers == (34, 74)
    assert model.elements == ["Se", "W"]


def test_float32_is_near_float64_and_neither_disturbs_the_other(
    training, model, unit_cells
) -> None:
    frames = unit_cells.take(range(3))
    before = evaluate(frames, model).frames
    single = load_mace(training.trained.neutral, model.weights_sha256, dtype="float32")
    rough = evaluate(frames, single).frames
    after = evaluate(frames, model).frames
    assert rough.energies == pytest.approx(before.energies, abs=1e-3)
    assert (rough.energies != before.energies).any()
    assert (after.energies == before.energies).all()


def test_unknown_elements_are_named(model) -> None:
    copper = bulk("Cu")
    with pytest.raises(ModelError, match=r"does not know Cu; it knows Se, W"):
        evaluate(Frames.from_atoms([copper], ids=["cu"]), model)
    copper.calc = model.calculator()
    with pytest.raises(ModelError, match=r"does not know Cu; it knows Se, W"):
        copper.get_potential_energy()


def test_a_calculator_keeps_its_precision_when_another_model_is_used(
    training, model, unit_cells
) -> None:
    frames = unit_cells.take([0])
    atoms = next(frames.atoms())
    calculator = model.calculator()
    before = calculator.get_potential_energy(atoms)
    single = load_mace(training.trained.neutral, model.weights_sha256, dtype="float32")
    evaluate(frames, single)
    calculator.reset()
    assert calculator.get_potential_energy(atoms) == pytest.approx(before, abs=1e-12)
    assert calculator.get_forces(atoms).dtype == "float64"
