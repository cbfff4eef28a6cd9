"""What a training's settings leave open: chosen by the cells and by the machine."""

from dataclasses import replace

import numpy as np
import psutil
import pytest

from forcebase.errors import InputError
from forcebase.models.training_choice import (
    batch_for,
    choose,
    choose_by_cells,
    dtype_for,
    free_cores,
    threads_for,
)
from forcebase.models.training_settings import DEMO, FULL, QUICK


def cells(labelled, n):
    """n of the labelled cells, some more than once."""
    return labelled.take(np.arange(n) % len(labelled))


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (11, 1), (12, 2), (30, 5), (54, 8), (500, 8)])
def test_few_cells_go_in_small_batches(labelled, n, batch):
    assert batch_for(cells(labelled, n)) == batch


def test_large_cells_go_one_by_one(labelled):
    large = cells(labelled, 60)
    assert batch_for(replace(large, n_atoms=np.full(60, 432))) == 1
    assert batch_for(replace(large, n_atoms=np.full(60, 100))) == 4


def test_float32_is_for_energies_that_it_resolves(labelled):
    assert dtype_for(labelled) == "float32"
    all_electrons = replace(labelled, energies=labelled.energies - 2.2e5 * labelled.n_atoms)
    assert dtype_for(all_electrons) == "float64"


def test_the_learning_rate_follows_the_batch(labelled):
    rates = [choose_by_cells(replace(DEMO, batch_size=n), labelled).lr for n in (2, 8)]
    assert rates == pytest.approx([0.01, 0.02])
    assert choose_by_cells(replace(DEMO, lr=0.003), labelled).lr == 0.003


@pytest.mark.parametrize(
    ("cores", "free", "threads"), [(1, 1.0, 1), (2, 2.0, 2), (2, 0.1, 1), (2, 1.2, 1), (16, 15, 2)]
)
def test_threads_that_would_wait_for_each_other_are_not_taken(cores, free, threads):
    assert threads_for(cores, free) == threads


def test_free_cores_of_this_machine():
    cores, free = free_cores()
    assert 1 <= cores <= psutil.cpu_count()
    assert 0 <= free <= psutil.cpu_count()


def test_what_is_said_stays(labelled):
    for settings in (QUICK, replace(FULL, threads=3, device="cpu")):
        assert not settings.open
        assert choose(settings, labelled) == settings
    chosen = choose(DEMO, labelled)
    assert not chosen.open
    assert replace(chosen, **dict.fromkeys(DEMO.open)) == DEMO


def test_what_is_open_starts_no_training():
    with pytest.raises(InputError, match="Not chosen yet: batch_size, lr, dtype, threads"):
        DEMO.as_arguments()


@pytest.mark.parametrize(
    ("epochs", "interval", "taken"), [(100, 3, 3), (3, 3, 2), (1, 3, 3), (5, 3, 2), (102, 3, 1)]
)
def test_the_last_epoch_is_looked_at(epochs, interval, taken):
    settings = replace(QUICK, epochs=epochs, eval_interval=interval)
    assert f"--eval_interval={taken}" in settings.as_arguments()
    assert (epochs - 1) % taken == 0
