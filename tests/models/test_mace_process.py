"""A training never outlives the process that asked for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
from waiting import PATIENCE, wait_until

PARENT = """
import sys
from dataclasses import replace
from pathlib import Path
from forcebase.blob import Blob
from forcebase.frames import Frames
from forcebase.models.mace_training import train_mace
from forcebase.models.training_settings import QUICK

frames = Frames.from_blob(Blob(Path("frames").read_bytes()))
splits, e0s = {"train": frames, "valid": frames}, {"Se": -4.0, "W": -8.0}
train_mace(splits, e0s, replace(QUICK, epochs=100000), Path("run"))
"""


@pytest.mark.training
@pytest.mark.parametrize(
    ("number", "is_awaited"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGKILL, True)],
)
def test_a_signal_to_the_parent_alone_ends_the_training(
    unit_cells, tmp_path, number, is_awaited
) -> None:
    """As it starts, which ends it no less, or once it has trained for an epoch."""
    (tmp_path / "frames").write_bytes(unit_cells.take(range(2)).to_blob().data)
    (tmp_path / "run").mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    training = wait_until(lambda: _training(parent))
    if is_awaited:
        wait_until(lambda: list(tmp_path.glob("run/results/*_train.txt")) or parent.poll())
    assert parent.poll() is None
    assert os.getsid(training.pid) == training.pid  # a terminal's Ctrl-C does not reach it
    parent.send_signal(number)
    assert parent.wait(PATIENCE) == -number
    _, alive = psutil.wait_procs([training], timeout=PATIENCE)
    assert not alive


def _training(parent: subprocess.Popen) -> psutil.Process | None:
    assert parent.poll() is None
    children = psutil.Process(parent.pid).children()
    running = [c for c in children if "forcebase.models.mace_process" in c.cmdline()]
    return running[0] if running else None
