from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from ase.io import read
from waiting import PATIENCE

from forcebase.errors import InputError, ModelError
from forcebase.models import mace_training
from forcebase.models.mace_training import Epoch, train_mace


def test_every_epoch_is_heard_and_the_model_learns(training) -> None:
    curve = training.trained.learning_curve
    assert training.heard == curve
    assert [epoch.epoch for epoch in curve] == list(range(training.settings.epochs))
    assert curve[-1].force_mae < curve[0].force_mae
    seconds = [epoch.seconds for epoch in curve]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= training.trained.seconds


def test_hyperparameters_and_e0s_read_back_from_the_weights(training, model) -> None:
    settings, network = training.settings, model.network
    assert model.r_max == settings.r_max
    assert int(network.num_interactions) == settings.num_interactions
    assert str(network.interactions[0].hidden_irreps) == f"{settings.num_channels}x0e"
    assert [product.symmetric_contractions.contractions[0].correlation
            for product in network.products] == [settings.correlation] * 2  # fmt: skip
    assert {str(p.dtype) for p in network.parameters()} == {"torch.float64"}
    energies = network.atomic_energies_fn.atomic_energies.numpy().ravel()
    assert dict(zip([34, 74], energies, strict=True)) == pytest.approx(
        {34: training.e0s["Se"], 74: training.e0s["W"]}, abs=1e-12
    )


def test_files_hold_the_labels_under_keys_of_mace(training) -> None:
    train = training.splits["train"]
    written = read(training.folder / "train.extxyz", ":")
    assert [a.info["REF_energy"] for a in written] == pytest.approx(list(train.energies), abs=1e-7)
    forces = np.concatenate([a.arrays["REF_forces"] for a in written])
    np.testing.assert_allclose(forces, train.forces, atol=1e-7)
    np.testing.assert_allclose([a.info["REF_stress"] for a in written], train.stresses, atol=1e-7)


def test_files_are_periodic_so_that_mace_keeps_the_volume_of_the_stress(training, tmp_path) -> None:
    train = training.splits["train"]
    layers = {"train": replace(train, pbc=train.pbc & [True, True, False])}
    mace_training._write_split(layers, "train", training.e0s, training.settings.r_max, tmp_path)
    written = read(tmp_path / "train.extxyz", ":")
    assert not layers["train"].pbc[:, 2].any()
    assert all(a.pbc.all() for a in written)
    np.testing.assert_allclose([a.cell.array for a in written], train.cells, atol=1e-7)


@pytest.mark.training
def test_an_interrupt_while_it_runs_ends_the_subprocess(
    training, tmp_path, fresh_processes
) -> None:
    running: list[list[int]] = []
    heard: list[Epoch] = []

    def interrupt(epoch: Epoch) -> None:
        heard.append(epoch)
        running.append(_trainings())
        raise KeyboardInterrupt

    settings = replace(training.settings, epochs=100_000, seed=training.settings.seed + 1)
    with pytest.raises(KeyboardInterrupt):
        train_mace(training.splits, training.e0s, settings, tmp_path, interrupt)
    assert len(running[0]) == 1
    assert not _trainings()
    # Another seed is another model from the first epoch on.
    assert heard[0].force_mae != pytest.approx(training.heard[0].force_mae, rel=1e-4)


def _trainings() -> list[int]:
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [child.pid for child in children if "forcebase.models.mace_process" in child.cmdline()]


@pytest.mark.training
def test_labels_that_mace_does_not_find_and_its_last_words_are_noticed(training, tmp_path) -> None:
    """In one run: MACE reads the files, tells what it found there, and then fails."""
    settings, splits = training.settings, training.splits
    for name in ("train", "valid"):
        (tmp_path / f"{name}.extxyz").write_bytes(
            (training.folder / f"{name}.extxyz").read_bytes().replace(b"REF_forces", b"FORCES_2")
        )
    files = {name: Path(f"{name}.extxyz") for name in ("train", "valid")}
    log = tmp_path / "output.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            # the last word counts, and the settings would not take this one
            [*mace_training._command(files, training.e0s, settings), "--batch_size=-1"],
            cwd=tmp_path,
            env=mace_training._environment(1),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        code = process.wait(PATIENCE)
    words = r"code 1: ValueError: batch_size should be a positive integer"
    with pytest.raises(ModelError, match=words):
        mace_training._check(code, [], splits, tmp_path)
    train = splits["train"]
    mace_training._check_counts((training.folder / "output.log").read_text(), "Training", train)
    with pytest.raises(ModelError, match=f"read forces of 0 of the {len(train)} configurations"):
        mace_training._check_counts(log.read_text(), "Training", train)


def test_bad_input_is_refused_before_anything_runs(training, tmp_path) -> None:
    splits, e0s, settings = training.splits, training.e0s, training.settings
    train = splits["train"]
    with pytest.raises(InputError, match="valid split is empty"):
        train_mace({**splits, "valid": train.take([])}, e0s, settings, tmp_path)
    unlabelled = replace(train, forces=np.full_like(train.forces, np.nan))
    with pytest.raises(InputError, match="records of the train split have no finite forces, as"):
        train_mace({**splits, "train": unlabelled}, e0s, settings, tmp_path)
    with pytest.raises(InputError, match="no E0 of Se"):
        train_mace(splits, {"W": e0s["W"]}, settings, tmp_path)
    assert not (tmp_path / "output.log").exists()
