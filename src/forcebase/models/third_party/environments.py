"""Environments of their own, for packages that cannot be installed beside forcebase's.

SevenNet needs e3nn 0.5 or newer, MACE pins 0.4.4. An environment is a folder made by `venv`;
jobs find it by `FORCEBASE_PYTHON_<KIND>` (an interpreter), or below `FORCEBASE_ENVIRONMENTS`
(~/.local/share/forcebase/environments) by the kind's name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from forcebase.errors import CalculationError, InputError, MissingDependencyError
from forcebase.models.third_party.engine import engine_module

REQUIREMENTS = {"SevenNet": "sevenn==0.13.0", "CHGNet": "chgnet==0.4.2"}
"""Kind -> what its environment, or the extra of this name, installs."""


def python_of(kind: str, environment: Mapping[str, str] | None = None) -> Path | None:
    """The interpreter of the kind's own environment; None where it runs in this process.

    Args:
        kind: of a model, as its record says.
        environment: of variables; the process' own by default.

    Raises:
        MissingDependencyError: the package is neither here nor in an environment of its own.
    """
    env = os.environ if environment is None else environment
    named = env.get(f"FORCEBASE_PYTHON_{kind.upper()}")
    python = Path(named) if named else environment_folder(kind, env) / "bin" / "python"
    if python.is_file():
        return python
    if named:
        raise MissingDependencyError(
            f"FORCEBASE_PYTHON_{kind.upper()} is {named}, which is not there.",
            hint="Set it to a Python interpreter, or unset it.",
        )
    package = engine_module(kind).PACKAGE
    if find_spec(package) is None:
        name = kind.lower()
        if kind not in REQUIREMENTS:
            raise MissingDependencyError(
                f"{package}, which runs {kind} models, is not installed.",
                hint="Install it, or name an interpreter that has it: "
                f"FORCEBASE_PYTHON_{kind.upper()}.",
            )
        extra = "" if kind == "SevenNet" else f", or pip install 'forcebase[{name}]'"
        raise MissingDependencyError(
            f"{package}, which runs {kind} models, is not installed.",
            hint=f"`forcebase model environment {name}` makes an environment for it{extra}.",
        )
    return None


def environment_folder(kind: str, environment: Mapping[str, str] | None = None) -> Path:
    """Where the environment of a kind is, or is to be."""
    env = os.environ if environment is None else environment
    share = env.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    default = Path(share) / "forcebase" / "environments"
    return Path(env.get("FORCEBASE_ENVIRONMENTS") or default).expanduser() / kind.lower()


def make_environment(kind: str, folder: Path | None = None) -> Path:
    """Make the environment of a kind and give its interpreter; a second time installs nothing new.

    Torch is installed in the version that is here, so that pip does not take another build.

    Raises:
        InputError: the kind needs none.
        CalculationError: pip failed; the message holds its last words.
    """
    if kind not in REQUIREMENTS:
        raise InputError(f"{kind} models run in this environment.", hint="Nothing is to be made.")
    folder = folder or environment_folder(kind)
    python = folder / "bin" / "python"
    fresh = not folder.exists()
    try:
        if not python.is_file():
            _run([sys.executable, "-m", "venv", str(folder)])
        torch = _torch_version()
        wanted = [*([f"torch=={torch}"] if torch else []), REQUIREMENTS[kind]]
        _run([str(python), "-m", "pip", "install", "--quiet", *wanted])
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)  # half an environment is none
        raise
    return python


def _torch_version() -> str | None:
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError:
        return None


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing."]
        raise CalculationError(
            f"{' '.join(command[:4])} ended with code {done.returncode}: {lines[-1][:400]}",
            hint="Look at what pip can reach, and run the command again.",
        )
