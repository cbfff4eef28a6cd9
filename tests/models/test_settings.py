"""Settings of a training: from a file to the arguments that reach MACE, and what comes of them."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forcebase.digest import bytes_digest
from forcebase.errors import InputError, ModelError
from forcebase.models import mace_training
from forcebase.models.evaluation import evaluate
from forcebase.models.force_constants import compute_force_constants
from forcebase.models.mace_calculator import load_mace
from forcebase.models.mace_options import OPTIONS
from forcebase.models.mace_training import train_mace
from forcebase.models.settings_file import MACE_NAMES, read_settings, settings_from
from forcebase.models.training_choice import choose, device_for
from forcebase.models.training_settings import DEMO, FULL, QUICK, TrainingSettings

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_a_file_is_a_preset_and_what_it_says(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("preset: full\nmax_num_epochs: 7\nnum_channels: 128\nswa: true\nlr: 0.002\n")
    found = read_settings(path)
    expected = replace(FULL, epochs=7, num_channels=128, lr=0.002, further={"swa": True})
    assert found == expected
    path.write_text("{}")
    assert read_settings(path) == DEMO
    assert TrainingSettings.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("num_chanels: 3", "Did you mean num_channels"),
        ("further: {a: 1}", "not a setting"),
        ("train_file: /etc/passwd", "not a setting"),
        ("foundation_model: https://a.b/c", "not a setting"),
        ("loss: dipole", "one of weighted"),
        ("swa: 1", "true or false"),
        ("start_swa: 3", "without swa"),
        ("MLP_irreps: 16x1o", "16x0e"),
        ("radial_MLP: '[64, __import__(\"os\")]'", "widths"),
        ("weight_decay: nan", "a number"),
        ("weight_decay: .nan", "a number"),
        ("epochs: 3\nmax_num_epochs: 3", "one setting"),
        ("preset: enormous", "demo and full"),
        ("lr: -1", "a number"),
        ("device: mps", "cpu, cuda"),
        ("[1, 2]", "name: value"),
        ("1: 2", "name: value"),
    ],
)
def test_what_is_not_a_setting_is_refused_with_the_next_step(tmp_path, text, said):
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_settings(path)
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert str(path) in caught.value.message


def test_the_page_names_every_setting():
    text = PAGE.read_text()
    known = {f.name for f in fields(TrainingSettings)} - {"further"} | {*OPTIONS, *MACE_NAMES}
    assert {name for name in known if f"`{name}`" not in text} == set()


def test_mace_knows_every_option():
    from mace.tools import build_default_arg_parser

    parser = build_default_arg_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    assert {f"--{name}" for name in OPTIONS} <= known
    values = {"model": "ScaleShiftMACE", "pair_repulsion": True, "swa": True, "enable_cueq": False}
    settings = replace(QUICK, further={**values, "loss": "universal", "start_swa": 2})
    parsed = parser.parse_args(["--name=a", "--E0s={}", *settings.as_arguments()])
    assert (parsed.model, parsed.loss, parsed.start_swa) == ("ScaleShiftMACE", "universal", 2)
    assert (parsed.pair_repulsion, parsed.swa, parsed.enable_cueq) == (True, True, False)
    assert (parsed.device, parsed.compute_stress) == ("cpu", True)


def test_a_gpu_that_is_not_there_is_told_before_the_training(unit_cells):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert device_for(None) == device_for("cpu") == "cpu"
    with pytest.raises(ModelError, match="sees no GPU") as caught:
        choose(TrainingSettings(device="cuda"), unit_cells)
    assert "--device cpu" in caught.value.hint


def test_device_and_visible_gpus_reach_maces_process(training, tmp_path, monkeypatch):
    """A program in MACE's place writes down what it was given."""
    program = (
        "import json, os, sys; "
        "json.dump([sys.argv[1:], dict(os.environ)], open('given.json', 'w')); sys.exit(3)"
    )
    monkeypatch.setattr(mace_training, "COMMAND", (sys.executable, "-c", program))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    settings = replace(training.settings, device="cuda", threads=2)
    with pytest.raises(ModelError, match="code 3"):
        train_mace(training.splits, training.e0s, settings, tmp_path)
    arguments, environment = json.loads((tmp_path / "given.json").read_text())
    assert [a for a in arguments if "device" in a] == ["--device=cuda"]
    assert "--save_cpu" in arguments
    assert environment["CUDA_VISIBLE_DEVICES"] == "5"
    assert environment["OMP_NUM_THREADS"] == "2"


@pytest.mark.training
def test_a_network_of_other_options_is_one_like_any(training, unit_cells, tmp_path):
    """Two stages, another model class, transform and repulsion: kept, applied, differentiated."""
    content = {
        "model": "ScaleShiftMACE",
        "distance_transform": "Agnesi",
        "pair_repulsion": True,
        "radial_MLP": "[16, 16]",
        "swa": True,
        "start_swa": 2,
        "max_num_epochs": 3,
    }
    further = settings_from(content).further
    settings = replace(training.settings, epochs=3, further=further)
    trained = train_mace(training.splits, training.e0s, settings, tmp_path)
    assert len(trained.learning_curve) == 3
    model = load_mace(trained.neutral, bytes_digest(trained.weights), "float64")
    assert type(model.network).__name__ == "ScaleShiftMACE"
    assert "pair_repulsion_fn" in dict(model.network.named_modules())
    cell = unit_cells.take([0])
    found = evaluate(cell, model).frames
    step = 1e-4
    moved = next(iter(cell.atoms()))
    energies = []
    for sign in (1, -1):
        atoms = moved.copy()
        atoms.positions[0, 2] += sign * step
        atoms.calc = model.calculator()
        energies.append(atoms.get_potential_energy())
    slope = (energies[0] - energies[1]) / (2 * step)
    assert found.forces[0, 2] == pytest.approx(-slope, abs=1e-5)
    atoms = next(iter(cell.atoms()))
    exact = compute_force_constants(model, atoms, [2, 2, 1])
    by_steps = compute_force_constants(model, atoms, [2, 2, 1], method="displacements")
    assert (exact.method, by_steps.method) == ("analytic", "displacements")
    largest = np.abs(exact.crystal.force_constants).max()
    assert (
        np.abs(exact.crystal.force_constants - by_steps.crystal.force_constants).max()
        < 1e-3 * largest
    )
