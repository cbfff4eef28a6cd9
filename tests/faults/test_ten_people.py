"""The benchmarks of people who work at once and of commands that are killed, for some seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.faults


def measured(script: str, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_ten_people_at_once():
    found = measured("ten_people.py", "--minutes", "0.2")
    assert found["findings"] == []
    assert found["people"] == 10
    assert found["n_commands"] >= 10


def test_commands_killed_while_they_work():
    found = measured("faults.py", "--commands", "import", "predict", "taint", "--kills", "2")
    assert {name: case["refused"] for name, case in found["commands"].items()} == {
        "import": [],
        "predict": [],
        "taint": [],
    }
    assert found["kills"] > 0
    assert (found["lost"], found["doubled"], found["verify"]) == (0, 0, {})
    assert found["processes_left"] == 0
