"""Processes that have their imports behind them: real ones, but without the start of a Python.

That start is 2 s of imports, and a hundred tests have one. They are forked from a server that has
imported everything and computed nothing: a process that has computed, as the tests' own, has
threads (of phonopy, of torch) that a fork of it would wait for in vain. What a fresh interpreter
does of its own (imports, the entry point) is tested where commands are run by their path.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from waiting import PATIENCE
from warm_commands import use_programs_of

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "forcebase.cli.main",
        "forcebase.actions.datasets",
        "forcebase.actions.phonons",
        "forcebase.actions.predictions",
        "forcebase.actions.training",
        "forcebase.archive",
        "forcebase.comparison.matrix",
        "forcebase.integrity.verify",
        "forcebase.ingest.watching",
        "forcebase.actions.models",
        "forcebase.report.html",
        "jobflow_remote.jobs.runner",
        "mace.calculators",
        "frozen_imports",
    ]
)
SHORTEST = 0.1
"""s; a runner rests a second after each round."""


class Forked:
    """A function in a process of its own, with the methods of `subprocess.Popen` that tests use.

    Args:
        function: what it does, to be pickled; its process ends with it, or with the code of its
            SystemExit.
        environment: all its environment variables.
        out: file that its output is added to.
        err: the same of its errors; that of its output without one.
        folder: where it runs.
    """

    def __init__(
        self,
        function: Callable[[], None],
        environment: Mapping[str, str],
        out: Path,
        err: Path | None = None,
        folder: Path | None = None,
    ) -> None:
        given = (function, dict(environment), out, err or out, folder)
        self._process = FORKS.Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its exit code; that of a signal is negative."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(repr(self._process), timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()


def _run(
    function: Callable[[], None],
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    folder: Path | None,
) -> None:
    _begin(environment, out, err, folder)
    function()


def _begin(environment: Mapping[str, str], out: Path, err: Path, folder: Path | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    if folder:
        os.chdir(folder)
    use_programs_of(environment)
    for number, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout, sys.stderr = (_text_stream(number) for number in (1, 2))


def _text_stream(number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), line_buffering=True)


def start_command(
    arguments: tuple[object, ...], environment: Mapping[str, str], out: Path, **places: Path
) -> Forked:
    """Start a command of forcebase."""
    return Forked(partial(_command, [str(word) for word in arguments]), environment, out, **places)


def _command(words: list[str]) -> None:
    from forcebase.cli.start import main

    sys.argv = ["forcebase", *words]
    main()


def run_command(
    arguments: tuple[object, ...], environment: Mapping[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command of forcebase to its end."""
    with tempfile.TemporaryDirectory() as written:
        out, err = Path(written) / "out", Path(written) / "err"
        places = {"folder": folder} if folder else {}
        started = start_command(arguments, environment, out, err=err, **places)
        try:
            code = started.wait()
        except BaseException:
            started.kill()
            raise
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def start_runner(
    project: str,
    environment: Mapping[str, str],
    out: Path,
    *,
    before: str = "",
    until_idle: bool = False,
) -> Forked:
    """Start a runner of jobflow-remote that rests less than they do.

    Args:
        project: its name.
        environment: with JFREMOTE_PROJECTS_FOLDER.
        out: file that its output is added to.
        before: code that it is to run first.
        until_idle: it ends when there is no job left that can run.
    """
    return Forked(partial(_runner, project, before, until_idle), environment, out)


def _runner(project: str, before: str, until_idle: bool) -> None:
    import jobflow_remote
    from jobflow_remote.jobs import runner

    settings = jobflow_remote.JobflowRemoteSettings
    jobflow_remote.SETTINGS = settings()  # type: ignore[call-arg]  # of this environment
    rest_less(runner)
    exec(before, {})
    made = runner.Runner(project_name=project)
    if until_idle:
        made.run_all_jobs(max_seconds=round(3 * PATIENCE))
    else:
        made.run()


def rest_less(runner: types.ModuleType) -> None:
    """Have a runner look at the queue again after a tenth of a second."""

    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, SHORTEST))

    calmer = types.SimpleNamespace(**{**vars(time), "sleep": sleep})
    runner.time = calmer  # type: ignore[attr-defined]
