"""What all commands share: the database they work on, lines, tables, JSON, bars, errors.

What is printed is data: names, reasons, paths, messages of other programs. None of it is read as
markup, here or in any command; a style is given beside the text that it is for.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text
from rich.tree import Tree

from forcebase.cli import interruption
from forcebase.database.connection import without_password
from forcebase.errors import DatabaseError, ForcebaseError, InputError
from forcebase.paths import disk_full, is_full
from forcebase.safety.text import is_utf8, readable

Plain = partial(Console, highlight=False, markup=False, emoji=False)
"""A console that reads nothing in what it prints."""
console = Plain()
error_console = Plain(stderr=True)
WIDE = 500
"""Columns of a tree or table that goes into a file: its lines are not broken."""
Part = str | tuple[str, str]
"""Plain text, or (plain text, style)."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@contextmanager
def open_database(writing: bool = False, *, session: bool = False) -> Iterator[Any]:
    """Connect by the environment's settings, and close at the end.

    Args:
        writing: refuse a user who may only read at once, before any work.
        session: give a `Session`, whose records lead to others and draw themselves.
    """
    from pymongo.errors import PyMongoError

    from forcebase.database.access import is_refusal, refusal
    from forcebase.database.connection import without_password
    from forcebase.database.database import Database
    from forcebase.database.room import full_disk_behind
    from forcebase.settings import Settings

    kind: Any = Database
    if session:
        from forcebase.api.session import Session

        kind = Session
    db = kind(Settings.from_environment())
    try:
        if writing:
            db.check_writing()
        yield db
    except (PyMongoError, DatabaseError) as error:
        if full := full_disk_behind(db.settings, error):
            raise full from error
        if isinstance(error, DatabaseError):
            raise
        if is_refusal(error):
            raise refusal(db.raw, error) from None
        raise DatabaseError(
            f"MongoDB failed in the middle: {without_password(str(error))}",
            hint="What was written before is kept: run the command again.",
        ) from error
    finally:
        db.close()


def print_json(value: Any) -> None:
    """Print plain JSON, whatever the terminal."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value)


def plain(text: str) -> str:
    """Text as a terminal may have it: what would steer it, or is not a character, is spelled out.

    All that is printed for people passes here, whichever way it comes.
    """
    return readable(text, keep="\n\t")


def words(*parts: Part) -> Text:
    """Text in parts, each as it is or with a style: `words("job ", (name, "bold"))`."""
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((plain(text), style) for text, style in styled))


def say(*parts: Part) -> None:
    """Print a line in parts, each as it is or with a style.

    Long lines are not broken, so that paths and commands in them can be copied.
    """
    console.print(words(*parts), soft_wrap=True)


def note(*parts: Part) -> None:
    """Like `say`, on stderr: what is said beside the answer of a command."""
    error_console.print(words(*parts), soft_wrap=True)


def print_tree(tree: Tree) -> None:
    """Print a tree whose labels `words` made."""
    (console if console.is_terminal else Plain(width=WIDE)).print(tree)


class StageBars:
    """A progress bar for each stage that jobs report, made when its first report comes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, numbers: dict[str, Any]) -> None:
        """Show that `done` of `total` is done; `numbers` are written behind the bar."""
        beside = plain("  ".join(f"{key} {_short(value)}" for key, value in numbers.items()))
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(plain(stage), total=total, note=beside)
        self._progress.update(self._tasks[stage], completed=done, total=total, note=beside)


class StageLines:
    """A line now and then for each stage, for logs: how far it is, and how long it may take."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._began: dict[str, tuple[float, int]] = {}
        self._told: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int, numbers: dict[str, Any]) -> None:
        """Say that `done` of `total` is done, unless the stage has said so a moment ago."""
        now = time.monotonic()
        if stage not in self._began:
            self._began[stage], self._told[stage] = (now, done), now
            return
        if now - self._told[stage] < SECONDS_BETWEEN_LINES:
            return
        self._told[stage] = now
        began, before = self._began[stage]
        parts = [f"{key} {_short(value)}" for key, value in numbers.items()]
        if before < done < total:
            seconds = (now - began) * (total - done) / (done - before)
            parts.append(f"about {_duration(seconds)} left")
        self._write(f"{stage} {done}/{total}" + "".join(f", {part}" for part in parts))


SECONDS_BETWEEN_LINES = 15.0


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def stage_bars() -> Iterator[StageBars | StageLines]:
    """Progress bars on the terminal; lines now and then where the output is not a terminal's."""
    if not error_console.is_terminal:
        yield StageLines(lambda line: error_console.print(line, markup=False, soft_wrap=True))
        return
    columns = (
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=error_console) as progress:
        yield StageBars(progress)


def run_app(app: typer.Typer) -> None:
    """Run the command line; errors become one line on stderr and an exit code."""
    _quieten_libraries()
    try:
        _check_arguments(sys.argv[1:])
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()  # here, and not when Python ends, a full disk can be told
    except BaseException as error:
        ended = isinstance(error, SystemExit) and error.code == interruption.CODE  # typer's Ctrl-C
        if not ended and not interruption.was_interrupted():
            sys.exit(_told(error))
        note((interruption.SAID, "bold red"), f" {interruption.KEPT}")
        sys.exit(interruption.CODE)


def _check_arguments(arguments: Sequence[str]) -> None:
    """MongoDB keeps UTF-8 alone, and a file name may be of other bytes."""
    for text in arguments:
        if not is_utf8(text):
            raise InputError(
                f"The argument {text} is not UTF-8 text.", hint="Rename the file, or type it anew."
            )


def _told(error: BaseException) -> Any:
    """Say what is wrong, and give the exit code; raise what is a mistake of this program."""
    if isinstance(error, SystemExit):
        return error.code
    if isinstance(error, ForcebaseError):
        note(("Error:", "bold red"), f" {error.message}")
        if error.hint:
            note(("Next:", "bold"), f"  {error.hint}")
        return error.exit_code
    if isinstance(error, PyMongoError):
        note(("Error:", "bold red"), f" MongoDB: {_one_line(error)}")
        note(("Next:", "bold"), "  Run `forcebase doctor`.")
        return DatabaseError.exit_code
    if isinstance(error, BrokenPipeError):  # whoever read has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, OSError):
        if is_full(error) and error.filename:
            return _told(disk_full(Path(str(error.filename))))
        if is_full(error):
            error.strerror = f"{error.strerror}: the disk that the output goes to is full"
        note(("Error:", "bold red"), f" {error}")
        return 1
    raise error


def _quieten_libraries() -> None:
    """What libraries log and deprecate is not for the user of a command; our own words are."""
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("forcebase").addHandler(_Notes(logging.WARNING))
    warnings.simplefilter("ignore")


class _Notes(logging.Handler):
    """What forcebase has to say beside its answer, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one note."""
        note(("Note:", "bold"), f"  {record.getMessage()}")


def _one_line(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:300]
