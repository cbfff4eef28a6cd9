"""Flow files: Python modules with `build(...) -> Flow`, as in flows/."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jobflow import Flow, Job

from forcebase.database.database import Database
from forcebase.errors import ForcebaseError, InputError

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def load_flow(db: Database, path: Path, settings: Mapping[str, str]) -> Flow | Job:
    """Call `build` of a flow file.

    Args:
        db: given to a `build` that has an argument of this name.
        path: the flow file.
        settings: its other arguments as text, read as JSON where they are.

    Raises:
        InputError: no such file or one that cannot be read, no `build`, an argument it does not
            have or one it lacks, or a `build` that fails or gives no flow.
    """
    build = _load_build(path)
    known = inspect.signature(build).parameters
    arguments: dict[str, Any] = {}
    for name, text in settings.items():
        if name not in known or name == "db":
            names = ", ".join(key for key in known if key != "db")
            raise InputError(f"{path.name} has no argument {name!r}.", hint=f"It has: {names}.")
        arguments[name] = _parsed(text)
    if "db" in known:
        arguments["db"] = db
    needed = [key for key, p in known.items() if p.default is p.empty and p.kind not in VARIADIC]
    lacking = [key for key in needed if key not in arguments]
    if lacking:
        raise InputError(
            f"{path.name} needs {', '.join(lacking)}.", hint=f"Give --set {lacking[0]}=VALUE."
        )
    try:
        flow = build(**arguments)
    except ForcebaseError:
        raise
    except Exception as error:
        raise InputError(
            f"build of {path.name} failed{_line_of(error, path)}: {type(error).__name__}: {error}",
            hint="Check the values of --set.",
        ) from error
    if not isinstance(flow, Flow | Job):
        raise InputError(f"build of {path.name} gives a {type(flow).__name__}, not a Flow.")
    return flow


def defines_jobs(path: Path, flow: Flow | Job) -> bool:
    """Whether jobs of the flow are written in the flow file itself, so that workers need it."""
    jobs = [job for job, _ in flow.iterflow()] if isinstance(flow, Flow) else [flow]
    modules = {module for job in jobs for module in _modules_of(job)}
    return path.stem in modules


def _modules_of(job: Job) -> tuple[str | None, ...]:
    return getattr(job.function, "__module__", None), type(job.maker).__module__


def _load_build(path: Path) -> Callable[..., Any]:
    if not path.is_file():
        raise InputError(f"{path} is not there.", hint="Flow files are in flows/.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path.name} is not a Python file.")
    if _is_taken(spec.name, path):
        raise InputError(
            f"{path.name} has the name of an installed module.",
            hint="Rename the file: its jobs are found by its name.",
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except ForcebaseError:
        raise
    except Exception as error:
        raise InputError(
            f"{path.name} cannot be read{_line_of(error, path)}: {type(error).__name__}: {error}",
            hint="Is it a flow file, and is what it imports installed?",
        ) from error
    if not callable(getattr(module, "build", None)):
        raise InputError(
            f"{path.name} has no build(...) that gives a Flow.",
            hint="Flow files are in flows/.",
        )
    return module.build


def _is_taken(name: str, path: Path) -> bool:
    """Whether a module of this name, other than the file itself, can be imported."""
    found = PathFinder.find_spec(name)
    elsewhere = found and found.origin and Path(found.origin).resolve() != path.resolve()
    return bool(elsewhere) or name in sys.builtin_module_names


def _line_of(error: Exception, path: Path) -> str:
    """Where in the flow file an error arose, if it was there."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
