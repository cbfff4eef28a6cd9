from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from ase.build import bulk

from forcebase.digest import bytes_digest
from forcebase.errors import IntegrityError, ModelError
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import load_mace


class Touch:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_bytes_of_another_digest_are_refused_before_they_can_run(tmp_path, model) -> None:
    trace = tmp_path / "ran"
    harmful = pickle.dumps(Touch(trace))
    with pytest.raises(IntegrityError, match="not loaded") as caught:
        load_mace(harmful, model.weights_sha256)
    assert not trace.exists()
    assert caught.value.evidence["found"] == bytes_digest(harmful)
    pickle.loads(harmful)  # it does what it says
    assert trace.exists()


def test_a_file_that_is_no_model_is_an_error_with_a_name() -> None:
    text = b"this is no model"
    with pytest.raises(ModelError, match="cannot be read"):
        load_mace(text, bytes_digest(text))


def test_one_digest_is_loaded_once_and_frozen(training, model) -> None:
    first, again = (load_mace(training.trained.weights, model.weights_sha256) for _ in range(2))
    assert again is first
    assert not any(p.requires_grad for p in model.network.parameters())
    assert model.numbers == (34, 74)
    assert model.elements == ["Se", "W"]


def test_float32_is_near_float64_and_neither_disturbs_the_other(
    training, model, unit_cells
) -> None:
    frames = unit_cells.take(range(3))
    before = evaluate(frames, model).frames
    single = load_mace(training.trained.weights, model.weights_sha256, dtype="float32")
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
    single = load_mace(training.trained.weights, model.weights_sha256, dtype="float32")
    evaluate(frames, single)
    calculator.reset()
    assert calculator.get_potential_energy(atoms) == pytest.approx(before, abs=1e-12)
    assert calculator.get_forces(atoms).dtype == "float64"
