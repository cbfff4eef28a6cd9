"""Whether MACE is here: with torch it is an extra, too large for workers that only run DFT."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec

from forcebase.errors import MissingDependencyError

PACKAGES = ("torch", "e3nn", "mace")
COMMAND = "pip install 'forcebase[mace]'"


def require_mace() -> None:
    """Refuse to begin what needs MACE where it is not installed; imports nothing.

    Raises:
        MissingDependencyError: naming the packages, with the command that installs them.
    """
    missing = [name for name in PACKAGES if not is_installed(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingDependencyError(
            f"This needs MACE: {', '.join(missing)} {verb} not installed.", hint=COMMAND
        )


def import_mace() -> None:
    """Import all of MACE before e3nn, and without what it prints: stdout may be somebody's JSON.

    Raises:
        MissingDependencyError: it is not installed, or cannot be imported.
    """
    require_mace()
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mace.calculators  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a shared library of torch
        raise MissingDependencyError(f"MACE cannot be imported: {error}", hint=COMMAND) from error


def is_installed(name: str) -> bool:
    """Whether a package could be imported, as far as can be told without doing so."""
    try:
        return find_spec(name) is not None
    except ImportError:
        return False
