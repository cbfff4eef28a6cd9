from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ase.io import read

from forcebase.errors import InputError, ModelError
from forcebase.models import mace_training
from forcebase.models.mace_training import Epoch, TrainedModel, train_mace
from forcebase.models.training_settings import QUICK, TrainingSettings


def test_every_epoch_is_heard_and_the_model_learns(quick_model) -> None:
    curve = quick_model.heard
    assert [asdict(epoch) for epoch in curve] == quick_model.output["learning_curve"]
    assert [epoch.epoch for epoch in curve] == list(range(QUICK.epochs))
    assert curve[-1].force_mae < curve[0].force_mae
    seconds = [epoch.seconds for epoch in curve]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= quick_model.output["wall_time"]


def test_hyperparameters_and_e0s_read_back_from_the_weights(quick_model, model) -> None:
    network, e0s = model.network, quick_model.selection["e0s"]
    assert model.r_max == QUICK.r_max
    assert int(network.num_interactions) == QUICK.num_interactions
    assert str(network.interactions[0].hidden_irreps) == f"{QUICK.num_channels}x0e"
    assert [product.symmetric_contractions.contractions[0].correlation
            for product in network.products] == [QUICK.correlation] * 2  # fmt: skip
    assert {str(p.dtype) for p in network.parameters()} == {"torch.float64"}
    energies = network.atomic_energies_fn.atomic_energies.numpy().ravel()
    assert dict(zip([34, 74], energies, strict=True)) == pytest.approx(
        {34: e0s["Se"], 74: e0s["W"]}, abs=1e-12
    )


def test_files_hold_the_labels_under_keys_of_mace(quick_model) -> None:
    train = quick_model.splits["train"]
    written = read(quick_model.folder / "train.extxyz", ":")
    assert [a.info["REF_energy"] for a in written] == pytest.approx(list(train.energies), abs=1e-7)
    forces = np.concatenate([a.arrays["REF_forces"] for a in written])
    np.testing.assert_allclose(forces, train.forces, atol=1e-7)
    np.testing.assert_allclose([a.info["REF_stress"] for a in written], train.stresses, atol=1e-7)


def test_files_are_periodic_so_that_mace_keeps_the_volume_of_the_stress(
    quick_model, tmp_path
) -> None:
    train, e0s = quick_model.splits["train"], quick_model.selection["e0s"]
    layers = replace(train, pbc=train.pbc & [True, True, False])
    mace_training._write_split({"train": layers}, "train", e0s, QUICK.r_max, tmp_path)
    written = read(tmp_path / "train.extxyz", ":")
    assert not layers.pbc[:, 2].any()
    assert all(a.pbc.all() for a in written)
    np.testing.assert_allclose([a.cell.array for a in written], train.cells, atol=1e-7)


@pytest.mark.training
def test_an_interrupt_while_it_runs_ends_the_subprocess(quick_model, tmp_path) -> None:
    running: list[list[int]] = []
    heard: list[Epoch] = []

    def interrupt(epoch: Epoch) -> None:
        running.append(_trainings())
        heard.append(epoch)
        raise KeyboardInterrupt

    settings = replace(QUICK, epochs=100_000, seed=QUICK.seed + 1)
    with pytest.raises(KeyboardInterrupt):
        train(quick_model, settings, tmp_path, interrupt)
    assert len(running[0]) == 1
    assert not _trainings()
    # Another seed is another model from the first epoch on.
    assert heard[0].force_mae != pytest.approx(quick_model.heard[0].force_mae, rel=1e-4)


def train(quick_model, settings: TrainingSettings, folder: Path, *hearing: Any) -> TrainedModel:
    """Train on the splits of the quick model."""
    e0s = quick_model.selection["e0s"]
    return train_mace(quick_model.splits, e0s, settings, folder, *hearing)


def _trainings() -> list[int]:
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [child.pid for child in children if "forcebase.models.mace_process" in child.cmdline()]


@pytest.mark.training
def test_a_failure_gives_the_last_words_of_mace(quick_model, tmp_path) -> None:
    settings = replace(QUICK, batch_size=-1)
    with pytest.raises(
        ModelError, match=r"code 1: ValueError: batch_size should be a positive integer"
    ):
        train(quick_model, settings, tmp_path)


@pytest.mark.training
def test_labels_that_mace_does_not_find_are_noticed(quick_model, tmp_path) -> None:
    settings = replace(QUICK, epochs=1)
    for name in ("train", "valid"):
        (tmp_path / f"{name}.extxyz").write_bytes(
            (quick_model.folder / f"{name}.extxyz").read_bytes().replace(b"REF_forces", b"FORCES_2")
        )
    files = {name: Path(f"{name}.extxyz") for name in ("train", "valid")}
    log = tmp_path / "output.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            mace_training._command(files, quick_model.selection["e0s"], settings),
            cwd=tmp_path,
            env=mace_training._environment(1),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        assert process.wait() == 0
    n = len(quick_model.splits["train"])
    mace_training._check_counts((quick_model.folder / "output.log").read_text(), "Training", n)
    with pytest.raises(ModelError, match=f"read forces of 0 of the {n} configurations"):
        mace_training._check_counts(log.read_text(), "Training", n)


def test_bad_input_is_refused_before_anything_runs(quick_model, tmp_path) -> None:
    splits, e0s, settings = quick_model.splits, quick_model.selection["e0s"], QUICK
    train = splits["train"]
    with pytest.raises(InputError, match="valid split is empty"):
        train_mace({**splits, "valid": train.take([])}, e0s, settings, tmp_path)
    unlabelled = replace(train, stresses=np.full_like(train.stresses, np.nan))
    with pytest.raises(InputError, match="label of the train split"):
        train_mace({**splits, "train": unlabelled}, e0s, settings, tmp_path)
    with pytest.raises(InputError, match="no E0 of Se"):
        train_mace(splits, {"W": e0s["W"]}, settings, tmp_path)
    assert not (tmp_path / "output.log").exists()
