"""What is printed of long work where there is no terminal: a line now and then."""

import pytest

from forcebase.cli import console
from forcebase.cli.console import StageLines


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_with_errors_and_the_time_left(clock):
    lines = []
    tell = StageLines(lines.append)
    for epoch in range(1, 101):
        tell("train", epoch, 100, {"meV/atom": 200 / epoch, "meV/A": 3000 / epoch})
        clock[0] += 2
    assert lines[0] == "train 9/100, meV/atom 22.2, meV/A 333, about 3 min 2 s left"
    assert 10 <= len(lines) <= 13
    assert all(line.startswith("train ") for line in lines)
    left = [line.rpartition("about ")[2] for line in lines]
    assert left[-1].endswith("s left")


def test_short_stages_are_silent(clock):
    lines = []
    tell = StageLines(lines.append)
    for stage in ("import", "predict"):
        for done in range(5):
            tell(stage, done, 5, {})
            clock[0] += 1
    assert lines == []


def test_stages_have_their_own_time(clock):
    lines = []
    tell = StageLines(lines.append)
    tell("relax", 0, 500, {})
    clock[0] += 20
    tell("relax", 5, 500, {"eV/A": 0.123456})
    tell("force constants", 0, 3, {})
    clock[0] += 20
    tell("force constants", 3, 3, {})
    assert lines == ["relax 5/500, eV/A 0.123, about 33 min 0 s left", "force constants 3/3"]


def test_without_a_terminal_there_are_lines():
    with console.stage_bars() as told:
        assert isinstance(told, StageLines)
