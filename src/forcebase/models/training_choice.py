"""What a training's settings leave open, chosen by the cells and by the machine."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import psutil
from numpy.typing import NDArray

from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.models.training_settings import Device, DType, TrainingSettings

LARGEST_BATCH = 8
"""Measured with 54 and 86 cells of 3 to 27 atoms: up to here an epoch gets shorter, with 16 it
does not."""
STEPS = 6
"""An epoch has so many steps at least: few cells go in smaller batches."""
ATOMS_PER_BATCH = 400
"""Large cells gain nothing from a batch, and each takes its memory."""
RATE, RATE_BATCH = 0.01, 2
"""Measured: 0.01 for batches of 2 and 0.02 for 8, so as the square root of the batch."""
MOST_THREADS = 2
"""With two, an epoch of small cells takes two thirds of the time; more were not tried."""
RESOLUTION = 1e-5
"""eV/atom: what float32 may make of a total energy. Codes whose energies count all electrons are
far above."""
LOOK_SECONDS = 1.0


def choose(settings: TrainingSettings, train: Frames) -> TrainingSettings:
    """Give settings in which nothing is left open; those that were said stay.

    Args:
        settings: with None where a choice is wanted.
        train: the cells of the train split, labelled.

    Raises:
        ModelError: a GPU is asked for, and torch sees none.
    """
    chosen = choose_by_cells(settings, train)
    device = device_for(chosen.device)
    return replace(chosen, device=device, threads=chosen.threads or threads_for(*free_cores()))


def device_for(asked: Device | None) -> Device:
    """The device that is asked for, or CUDA where torch sees one, else the CPU.

    Raises:
        ModelError: CUDA is asked for, and torch sees no device of it.
    """
    if asked == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f"CUDA_VISIBLE_DEVICES is {seen!r}" if seen is not None else "none is there for it"
        raise ModelError(
            f"torch {torch.__version__} sees no GPU: {why}.",
            hint="Train with --device cpu, or on a worker that has one: --remote --worker NAME.",
        )
    return "cpu"


def choose_by_cells(settings: TrainingSettings, train: Frames) -> TrainingSettings:
    """Give settings in which threads and device alone may be open: the same on any machine.

    Where no cell has a stress, the loss leaves it out.
    """
    batch = settings.batch_size or batch_for(train)
    return replace(
        settings,
        batch_size=batch,
        lr=settings.lr or RATE * (batch / RATE_BATCH) ** 0.5,
        dtype=settings.dtype or dtype_for(train),
        stress_weight=settings.stress_weight if has_stress(train).any() else 0.0,
    )


def has_stress(frames: Frames) -> NDArray[np.bool_]:
    """(n,) which of the structures are labelled with a stress."""
    return np.asarray(np.isfinite(frames.stresses).all(axis=1))


def batch_for(train: Frames) -> int:
    """Configurations per step, by their number and size."""
    by_number = len(train) // STEPS
    by_size = int(ATOMS_PER_BATCH / max(1.0, float(np.mean(train.n_atoms)))) if len(train) else 1
    return max(1, min(LARGEST_BATCH, by_number, by_size))


def dtype_for(train: Frames) -> DType:
    """float32 where it resolves the total energies, else float64.

    MACE adds up the energies of the free atoms and of the interactions in the precision of the
    training: a cell's energy of -30 eV is known to 2e-6 eV then, one of -1e5 eV to 8e-3 eV.
    """
    spacing = np.spacing(np.abs(train.energies).astype(np.float32)).astype(float)
    coarse = spacing / train.n_atoms > RESOLUTION
    return "float64" if coarse.any() else "float32"


def threads_for(cores: int, free: float) -> int:
    """Threads for a machine of `cores` cores of which `free` do nothing else.

    Two threads that wait for each other on cores that are busy take longer than one.
    """
    return max(1, min(MOST_THREADS, cores, round(free)))


def free_cores() -> tuple[int, float]:
    """(cores that this process may use, how many of them were free for a second).

    Cores are those of the chip, not the threads that it shows. Work of low priority counts as
    free: it gives way.
    """
    usable = sorted(os.sched_getaffinity(0))
    logical = psutil.cpu_count() or 1
    share = min(1.0, (psutil.cpu_count(logical=False) or logical) / logical)
    cores = max(1, int(len(usable) * share))
    times = psutil.cpu_times_percent(LOOK_SECONDS, percpu=True)
    free = [times[i].idle + getattr(times[i], "nice", 0.0) for i in usable if i < len(times)]
    return cores, share * sum(free) / 100
