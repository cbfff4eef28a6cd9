"""A MACE's file becomes its neutral form, in a process of its own that can do little else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forcebase.errors import ForcebaseError, InputError, MissingDependencyError, ModelError
from forcebase.models.neutral_form import LARGEST_FILE, read_neutral
from forcebase.safety.json_text import parse_json
from forcebase.scratch import scratch_folder

COMMAND: Iterable[str] = (sys.executable, "-m", "forcebase.models.mace_conversion")
WALL_SECONDS = 1800
LARGEST_REPORT = 1 << 16
ERRORS: dict[str, type[ForcebaseError]] = {
    error.__name__: error for error in (InputError, MissingDependencyError, ModelError)
}
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables of the environment that the process gets: no password of a database is among them."""


@dataclass(frozen=True)
class Converted:
    """What came of a conversion.

    Attributes:
        neutral: the neutral form, checked.
        deviation: largest difference of its answers to those of the file, eV or eV/angstrom.
        confined: whether the process had no network.
    """

    neutral: bytes
    deviation: float
    confined: bool

    @property
    def notes(self) -> list[str]:
        """What is to be said of it; nothing where all went as it should."""
        found = []
        if not self.confined:
            found.append(
                "The file was opened with the network in reach: this system gives a process "
                "no network namespace of its own."
            )
        if self.deviation:
            found.append(
                f"Rebuilt from its numbers, the model answers as its file does within "
                f"{self.deviation:.0e} eV or eV/angstrom: the code in it was compiled by "
                "another version."
            )
        return found


def convert_mace(weights: bytes) -> Converted:
    """Convert the bytes of a MACE's file: they are a pickle, which may run code, so this is to be
    asked for only where a user said so.

    The process has no network where the system permits, an environment without passwords, limits
    of memory, time and file size. What it gives back is checked like a file from a stranger.

    Raises:
        InputError: the file is too large.
        MissingDependencyError: MACE is not installed.
        ModelError: it is not a MACE that has a neutral form, or the process was ended by a limit.
    """
    if len(weights) > LARGEST_FILE:
        raise InputError(f"The file has {len(weights):,} bytes, more than {LARGEST_FILE:,}.")
    with scratch_folder("forcebase-convert") as folder:
        (folder / "source").write_bytes(weights)
        code, words = _run(folder)
        report = _report(folder / "report")
        if report is None:
            raise ModelError(
                f"The file could not be converted: {_why(code)} {words}".strip(),
                hint="Give a model file of MACE.",
            )
        if "error" in report:
            kind = ERRORS.get(str(report["error"]), ModelError)
            hint = _line(report["hint"]) if report.get("hint") else None
            raise kind(f"The file is not taken. {_line(report.get('message'))}", hint=hint)
        neutral = _content(folder / "target", LARGEST_FILE)
        read_neutral(neutral)
        return Converted(neutral, float(report["deviation"]), report.get("confined") is True)


def _run(folder: Path) -> tuple[int, str]:
    """Run the conversion to its end, with all that it started."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*COMMAND, "source", "target", "report"],
            cwd=folder,
            stdin=subprocess.PIPE,  # closes when this process dies: see parent_pipe
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(folder),
            start_new_session=True,
        )
        try:
            code = process.wait(WALL_SECONDS)
        except subprocess.TimeoutExpired:
            code = -signal.SIGXCPU
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdin:
                process.stdin.close()
    lines = _content(folder / "log", 1 << 20).decode(errors="replace").strip().splitlines()
    return code, _line(lines[-1]) if lines and code > 0 else ""


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **kept,
        **dict.fromkeys(threads, "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p),
    }


def _report(path: Path) -> dict[str, Any] | None:
    """What the process said; None where it said nothing that can be read."""
    try:
        found = parse_json(_content(path, LARGEST_REPORT))
    except (OSError, ValueError, RecursionError):
        return None
    sound = isinstance(found, dict) and ("error" in found or type(found.get("deviation")) is float)
    return found if sound else None


def _content(path: Path, largest: int) -> bytes:
    """The bytes of a plain file that a stranger may have put there; "" of any other."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(largest)


def _line(text: Any) -> str:
    """What the process said, in a line that does nothing to a terminal."""
    words = " ".join(str(text).split())
    return "".join(letter for letter in words if letter.isprintable())[:400]


def _why(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "it took too much time."
    if code == -signal.SIGXFSZ:
        return "it wrote too large a file."
    if code < 0:
        return f"its process was ended by signal {-code}, perhaps for want of memory."
    return f"its process ended with code {code}."
