"""Commands of forcebase as processes of their own that have their imports behind them.

A command spends seconds of its life on importing its libraries, most of it where many start at
once. Here one server imports them, and each command is forked from it: a real process, with a
connection and memory of its own, to be watched or killed while it works.
"""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMPORTED = (
    "forcebase.cli.main",
    "forcebase.actions.datasets",
    "forcebase.actions.phonons",
    "forcebase.actions.predictions",
    "forcebase.actions.training",
    "forcebase.archive",
    "forcebase.comparison",
    "forcebase.comparison.matrix",
    "forcebase.integrity.backup",
    "forcebase.integrity.restore",
    "forcebase.provenance.subject",
    "forcebase.integrity.verify",
    "forcebase.ingest.importing",
    "forcebase.ingest.codes.code_output",
    "forcebase.actions.models",
    "mace.calculators",
    "pymatgen.io.ase",
)
TICK = 0.01
FORKS = multiprocessing.get_context("forkserver")
ONE_AT_ONCE = threading.Lock()
"""A start looks at all processes that ended, and so does each wait: an exit code is read once, and
of two threads that read it at the same time one gets 255."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code; negative for a signal, None where it was ended as it took too long.
        seconds: of its work, its start not counted.
        stdout: what it printed.
        stderr: and its errors.
        was_killed: whether it was killed, as asked, and not done before.
    """

    code: int | None
    seconds: float
    stdout: str
    stderr: str
    was_killed: bool = False

    @property
    def answer(self) -> Any:
        """What it printed with --json."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return None

    @property
    def said(self) -> str:
        """What was wrong, in its own words: the line that says so, or the last."""
        lines = self.stderr.strip().splitlines() or [""]
        return next((line for line in lines if line.startswith("Error:")), lines[-1])


def start_server() -> None:
    """Have the libraries imported, once; what they print is not a result of a benchmark."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # no threads in what is forked
    FORKS.set_forkserver_preload(list(IMPORTED))
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)  # the server keeps it so
    process = FORKS.Process(target=time.sleep, args=(0,))
    process.start()
    process.join()
    os.dup2(stdout, 1)
    os.close(stdout)


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    kill_after: float | None = None,
    limit: float = 600.0,
) -> Ended:
    """Run `forcebase WORDS`, and kill -9 it when it has worked for so many seconds, if any.

    Args:
        words: the command's arguments.
        environment: variables set besides this process's own, of which FORCEBASE_* are left out.
        folder: where it runs; what it prints goes to files there.
        kill_after: s.
        limit: s; then it counts as stuck.
    """
    out = folder / f".{time.time_ns()}-{os.urandom(4).hex()}"
    begun = out.with_suffix(".begun")
    process = FORKS.Process(target=_command, args=(list(words), dict(environment), folder, out))
    with ONE_AT_ONCE:
        process.start()
    while not begun.exists() and not _has_ended(process, TICK / 10):
        pass
    started = time.perf_counter()
    alive = not _has_ended(process, limit if kill_after is None else kill_after)
    if alive:
        with ONE_AT_ONCE:
            process.kill()
        _has_ended(process, None)
    seconds = time.perf_counter() - started
    with ONE_AT_ONCE:
        process.join()
    stuck = alive and kill_after is None
    stdout, stderr = (out.with_suffix(s).read_text() for s in (".out", ".err"))
    for suffix in (".out", ".err", ".begun"):
        out.with_suffix(suffix).unlink()
    code = None if stuck else process.exitcode
    return Ended(code, seconds, stdout, stderr, alive and not stuck)


def _has_ended(process: multiprocessing.process.BaseProcess, limit: float | None) -> bool:
    """Wait, for so many seconds at the longest, without a look at the exit code."""
    return bool(multiprocessing.connection.wait([process.sentinel], limit))


def _command(words: list[str], environment: dict[str, str], folder: Path, out: Path) -> None:
    for number, suffix in ((1, ".out"), (2, ".err")):
        descriptor = os.open(out.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
    for name in [name for name in os.environ if name.startswith("FORCEBASE_")]:
        del os.environ[name]
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may be another
    os.chdir(folder)
    sys.argv = ["forcebase", *words]
    out.with_suffix(".begun").touch()
    from forcebase.cli.main import main

    main()
