"""Importing MACE."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout

from forcebase.errors import MissingDependencyError


def import_mace() -> None:
    """Import all of MACE before e3nn, and without what it prints: stdout may be somebody's JSON.

    Raises:
        MissingDependencyError: it is not installed.
    """
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import mace.calculators  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"MACE cannot be imported: {error}.", hint="Install mace-torch."
            ) from error
