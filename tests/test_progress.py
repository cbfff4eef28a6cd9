from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from waiting import PATIENCE

from forcebase.progress import VARIABLE, following, report


def test_what_is_reported_is_heard_in_order_and_to_the_last() -> None:
    heard = []
    with following(lambda *entry: heard.append(entry)):
        for done in range(50):
            report("train", done, 50, loss=0.5 * done)
    assert heard == [("train", done, 50, {"loss": 0.5 * done}) for done in range(50)]


def test_a_subprocess_is_heard() -> None:
    heard = []
    code = "from forcebase.progress import report; report('relax', 1, 2, force=float('nan'))"
    with following(lambda *entry: heard.append(entry)):
        subprocess.run([sys.executable, "-c", code], check=True)
    ((stage, done, total, numbers),) = heard
    assert (stage, done, total) == ("relax", 1, 2)
    assert numbers["force"] != numbers["force"]


def test_nobody_listens_and_nothing_happens(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    report("train", 1, 2)
    with following(None):
        assert VARIABLE not in os.environ
        report("train", 1, 2)
    assert not list(tmp_path.iterdir())


def test_the_environment_is_left_as_it_was(monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    outer, inner = [], []
    with following(lambda *entry: outer.append(entry)):
        before = os.environ[VARIABLE]
        with following(lambda *entry: inner.append(entry)):
            report("inner", 1, 1)
        assert os.environ[VARIABLE] == before
        report("outer", 1, 1)
    assert VARIABLE not in os.environ
    assert (outer[0][0], inner[0][0], len(outer), len(inner)) == ("outer", "inner", 1, 1)


def test_a_failure_ends_the_following_and_is_passed_on() -> None:
    before = set(threading.enumerate())
    heard = []

    def work():
        with following(lambda *entry: heard.append(entry)):
            report("train", 1, 2)
            raise ValueError("of the job")

    with pytest.raises(ValueError, match="of the job"):
        work()
    assert len(heard) == 1
    assert VARIABLE not in os.environ
    new = set(threading.enumerate()) - before  # those of clients of MongoDB come and go
    assert not [thread for thread in new if not thread.name.startswith("pymongo")]


def test_half_a_line_is_not_read_before_its_other_half() -> None:
    heard = []
    came = threading.Event()

    def listen(*entry):
        heard.append(entry)
        came.set()

    with following(listen), open(os.environ[VARIABLE], "a") as file:  # noqa: PTH123
        report("first", 1, 1)
        assert came.wait(PATIENCE)
        came.clear()
        file.write('{"stage": "second", "done": 1, ')
        file.flush()
        assert not came.wait(0.5)
        file.write('"total": 2, "numbers": {}}\n')
        file.flush()
        assert came.wait(PATIENCE)
        report("third", 1, 1)
    assert [entry[0] for entry in heard] == ["first", "second", "third"]


def test_a_listener_that_fails_does_not_stop_the_work() -> None:
    """A broken progress bar: the work goes on, and its error is not lost."""
    done = []

    def listen(stage, *_):
        raise RuntimeError(f"cannot show {stage}")

    def work():
        with following(listen):
            for step in range(3):
                report("train", step, 3)
                done.append(step)

    with pytest.raises(RuntimeError, match="cannot show train"):
        work()
    assert done == [0, 1, 2]
    assert VARIABLE not in os.environ


def test_a_file_that_is_gone_does_not_stop_the_job(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone" / "lines"))
    report("train", 1, 2)
    assert not list(tmp_path.iterdir())
