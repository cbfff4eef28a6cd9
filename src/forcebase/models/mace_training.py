"""Training MACE: one subprocess a training, watched while it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.io import write

from forcebase.errors import InputError, ModelError
from forcebase.frames import Frames
from forcebase.models.boundaries import close_boundaries
from forcebase.models.fine_tuning import write_parent
from forcebase.models.mace_calculator import LoadedModel
from forcebase.models.mace_package import require_mace
from forcebase.models.mace_process import MODEL_FILE, NAME, NEUTRAL_FILE
from forcebase.models.training_choice import has_stress
from forcebase.models.training_settings import TrainingSettings

COMMAND: Iterable[str] = (sys.executable, "-m", "forcebase.models.mace_process")
POLL_SECONDS = 0.2
KEYS = {"energy": "REF_energy", "forces": "REF_forces", "stress": "REF_stress"}


@dataclass(frozen=True)
class Epoch:
    """Errors on the valid split after an epoch."""

    epoch: int
    """From 0; those after which the valid split was not looked at are left out."""
    loss: float
    energy_mae: float
    """eV/atom"""
    force_mae: float
    """eV/angstrom"""
    stress_mae: float | None
    """eV/angstrom^3; None where the valid split has no stress, or the loss leaves it out."""
    seconds: float
    """Since the training's start."""


@dataclass(frozen=True)
class TrainedModel:
    """What a training leaves."""

    weights: bytes
    """MACE's model file, saved for the CPU: a pickle, which is not opened here."""
    neutral: bytes
    """The same as a neutral form."""
    learning_curve: list[Epoch]
    seconds: float


def train_mace(
    splits: Mapping[str, Frames],
    e0s: Mapping[str, float],
    settings: TrainingSettings,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    parent: LoadedModel | None = None,
) -> TrainedModel:
    """Train a model, from scratch or from the weights of another.

    One thread, the same seed and the same data give the same bits. A second run in one
    process would not, hence the subprocess, which ends with this process, however that ends.

    Args:
        splits: `train` and `valid`, labelled.
        e0s: element symbol -> eV, of the method of the labels.
        settings: all hyperparameters, none of them open.
        folder: for the files of the run; must be empty.
        on_epoch: told of each epoch after which the valid split was looked at.
        parent: a MACE to begin from; its architecture and cutoff take the place of the settings'.

    Raises:
        InputError: a split is empty, a label is missing, an element has no E0, or a setting is
            not chosen yet.
        MissingDependencyError: MACE is not installed.
        ModelError: MACE failed, did not read all labels, or diverged; the message holds its
            own last words.
    """
    require_mace()
    started = time.perf_counter()
    files = {
        split: _write_split(splits, split, e0s, parent.r_max if parent else settings.r_max, folder)
        for split in ("train", "valid")
    }
    command = _command(files, e0s, settings)
    if parent is not None:
        command += write_parent(parent, e0s, folder, settings.dtype or parent.dtype)
    with (folder / "output.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,  # closes when this process dies: see mace_process
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(settings.threads or 1),
            start_new_session=True,
        )
        try:
            curve = list(_watch(process, folder, started, on_epoch))
        except BaseException:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise
        finally:
            cast(IO[bytes], process.stdin).close()
    _check(process.returncode, curve, splits, folder)
    return TrainedModel(
        weights=(folder / MODEL_FILE).read_bytes(),
        neutral=(folder / NEUTRAL_FILE).read_bytes(),
        learning_curve=curve,
        seconds=time.perf_counter() - started,
    )


def _write_split(
    splits: Mapping[str, Frames],
    split: str,
    e0s: Mapping[str, float],
    r_max: float,
    folder: Path,
) -> Path:
    frames = splits.get(split)
    if frames is None or not len(frames):
        raise InputError(f"The {split} split is empty.", hint="MACE needs train and valid data.")
    _require_labels(frames, split)
    lacking = {chemical_symbols[z] for z in np.unique(frames.numbers)} - set(e0s)
    if lacking:
        raise InputError(
            f"There is no E0 of {', '.join(sorted(lacking))}.",
            hint="Fit the E0s on data that holds every element.",
        )
    offsets = frames.offsets
    with_stress = has_stress(frames)
    configurations = []
    for i, given in enumerate(frames.atoms()):
        atoms = close_boundaries(given, r_max)
        atoms.info = {KEYS["energy"]: float(frames.energies[i])}
        if with_stress[i]:  # without the key, MACE gives it no weight
            atoms.info[KEYS["stress"]] = frames.stresses[i]
        atoms.arrays[KEYS["forces"]] = frames.forces[offsets[i] : offsets[i + 1]]
        configurations.append(atoms)
    path = folder / f"{split}.extxyz"
    write(path, configurations, format="extxyz")
    return path


def _require_labels(frames: Frames, split: str) -> None:
    """Each structure needs its energy and all forces; a stress, not."""
    gaps = ~np.isfinite(frames.forces).all(axis=1)
    without_forces = np.bincount(frames.owners, weights=gaps, minlength=len(frames)) > 0
    for label, lost in (("energy", ~np.isfinite(frames.energies)), ("forces", without_forces)):
        if lost.any():
            raise InputError(
                f"{int(lost.sum())} of {len(frames)} records of the {split} split have no finite "
                f"{label}, as {str(frames.ids[lost][0])[:10]}.",
                hint="Leave them out: the step labels-present of a dataset does.",
            )


def _command(
    files: Mapping[str, Path], e0s: Mapping[str, float], settings: TrainingSettings
) -> list[str]:
    by_number = {atomic_numbers[symbol]: float(energy) for symbol, energy in e0s.items()}
    return [
        *COMMAND,
        f"--name={NAME}",
        f"--train_file={files['train'].name}",
        f"--valid_file={files['valid'].name}",
        f"--E0s={by_number}",
        *(f"--{label}_key={key}" for label, key in KEYS.items()),
        "--save_cpu",
        *settings.as_arguments(),
    ]


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads))}


def _watch(
    process: subprocess.Popen,
    folder: Path,
    started: float,
    on_epoch: Callable[[Epoch], None],
) -> Iterator[Epoch]:
    """Yield each epoch as MACE writes it to its results file; a loss of NaN ends it."""
    read = 0
    while True:
        ended = process.poll() is not None
        for path in folder.glob("results/*_train.txt"):
            lines = path.read_text().split("\n")[:-1]  # the last one may be half written
            for line in lines[read:]:
                epoch = _epoch(json.loads(line), time.perf_counter() - started)
                if epoch is not None:
                    _check_loss(epoch)
                    on_epoch(epoch)
                    yield epoch
            read = len(lines)
        if ended:
            return
        time.sleep(POLL_SECONDS)


def _epoch(entry: dict[str, Any], seconds: float) -> Epoch | None:
    if entry.get("mode") != "eval" or entry.get("epoch") is None:
        return None
    return Epoch(
        epoch=int(entry["epoch"]),
        loss=float(entry["loss"]),
        energy_mae=float(entry["mae_e_per_atom"]),
        force_mae=float(entry["mae_f"]),
        stress_mae=None if entry.get("mae_stress") is None else float(entry["mae_stress"]),
        seconds=seconds,
    )


def _check(code: int, curve: list[Epoch], splits: Mapping[str, Frames], folder: Path) -> None:
    log = (folder / "output.log").read_text(errors="replace")
    if code != 0 or not (folder / MODEL_FILE).is_file() or not (folder / NEUTRAL_FILE).is_file():
        raise ModelError(
            f"MACE's training ended with code {code}: {_last_words(log)}",
            hint="Check the settings and the dataset; with code -9, the memory.",
            log_tail=log[-2000:],
        )
    if not curve:
        raise ModelError(
            "MACE wrote no learning curve.",
            hint="The installed mace-torch writes its results elsewhere than this forcebase reads.",
        )
    for split, name in (("train", "Training"), ("valid", "Validation")):
        _check_counts(log, name, splits[split])


def _check_loss(epoch: Epoch) -> None:
    if not np.isfinite(epoch.loss):
        raise ModelError(
            f"The training diverged: its loss is not a finite number after epoch {epoch.epoch}.",
            hint="Lower the learning rate, or look for wrong labels.",
        )


def _check_counts(log: str, name: str, frames: Frames) -> None:
    """A label that MACE does not find is left out without a word: its own counts tell."""
    counts = re.search(rf"Total {name} set \[(.*?)\]", log)
    read = dict(re.findall(r"(\w+): (\d+)", counts.group(1))) if counts else {}
    for label in KEYS:
        expected = int(has_stress(frames).sum()) if label == "stress" else len(frames)
        if int(read.get(label, 0)) != expected:
            raise ModelError(
                f"MACE read {label} of {read.get(label, 0)} of the {expected} configurations "
                f"of its {name.lower()} set that have it.",
                hint="The installed mace-torch reads other keys than this forcebase writes.",
            )


def _last_words(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"^\w*(Error|Exception)\b", line)]
    return (errors or lines or ["it said nothing."])[-1][:400]
