"""One error family: what is wrong, the evidence, and the next step."""

from __future__ import annotations

from typing import Any


class ForcebaseError(Exception):
    """An error a user can act on.

    Args:
        message: what is wrong, naming the thing; made one line.
        hint: the next step, as a sentence or a command.
        evidence: values that show it, for scripts and logs.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, **evidence: Any) -> None:
        self.message = " ".join(message.split())  # it may quote a library that speaks in lines
        super().__init__(self.message)
        self.hint = hint
        self.evidence = evidence

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InputError(ForcebaseError):
    """A file or value given by the user cannot be used."""

    exit_code = 2


class VersionTakenError(InputError):
    """Another dataset took the name and version while this one was curated."""


class NotFoundError(ForcebaseError):
    """No record or file matches a name."""

    exit_code = 3


class DatabaseError(ForcebaseError):
    """The database cannot be started, reached, read or written."""

    exit_code = 4


class AccessError(DatabaseError):
    """The user of the database has no right to what was asked for."""


class MixedMethodsError(ForcebaseError):
    """Labels of unlike methods meet where one method is needed."""

    exit_code = 5


class ModelError(ForcebaseError):
    """A model cannot be trained, trusted, loaded or applied."""

    exit_code = 6


class MissingDependencyError(ForcebaseError):
    """An optional package or system library is not installed."""

    exit_code = 7


class IntegrityError(ForcebaseError):
    """Stored content does not match its digest."""

    exit_code = 8


class CalculationError(ForcebaseError):
    """A calculation ran and failed: no convergence, NaN, imaginary modes."""

    exit_code = 9


class DiskFullError(ForcebaseError):
    """A disk is full: of a file to be written, of temporary files, or of the database."""

    exit_code = 10
