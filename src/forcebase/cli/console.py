"""What all commands share: the database they work on, tables, JSON, progress bars, errors."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from pymongo.errors import PyMongoError
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from forcebase.database.connection import without_password
from forcebase.errors import DatabaseError, ForcebaseError

console = Console(highlight=False)
error_console = Console(stderr=True, highlight=False)
INTERRUPTED = 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@contextmanager
def open_database() -> Iterator[Any]:
    """Connect by the environment's settings, and close at the end."""
    from pymongo.errors import PyMongoError

    from forcebase.database.connection import without_password
    from forcebase.database.database import Database
    from forcebase.settings import Settings

    db = Database(Settings.from_environment())
    try:
        yield db
    except PyMongoError as error:
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


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; numbers to the right."""
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell(item) for item in value)
    return "" if value is None else str(value)


class StageBars:
    """A progress bar for each stage that jobs report, made when its first report comes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, numbers: dict[str, Any]) -> None:
        """Show that `done` of `total` is done; `numbers` are written behind the bar."""
        note = "  ".join(f"{key} {_short(value)}" for key, value in numbers.items())
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note=note)
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)


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
    """Progress bars on the terminal; lines now and then where the output is no terminal's."""
    if not error_console.is_terminal:
        yield StageLines(lambda line: error_console.print(line, markup=False, soft_wrap=True))
        return
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=error_console) as progress:
        yield StageBars(progress)


def run_app(app: typer.Typer) -> None:
    """Run the command line; errors become one line on stderr and an exit code."""
    _quieten_libraries()
    try:
        app(standalone_mode=True)
    except ForcebaseError as error:
        error_console.print(f"[bold red]Error:[/] {_escaped(error.message)}", soft_wrap=True)
        if error.hint:
            error_console.print(f"[bold]Next:[/]  {_escaped(error.hint)}", soft_wrap=True)
        sys.exit(error.exit_code)
    except PyMongoError as error:
        error_console.print(f"[bold red]Error:[/] MongoDB: {_escaped(_one_line(error))}")
        error_console.print("[bold]Next:[/]  Run `forcebase doctor`.")
        sys.exit(DatabaseError.exit_code)
    except OSError as error:  # but for a closed pipe, which typer ends silently
        error_console.print(f"[bold red]Error:[/] {_escaped(str(error))}", soft_wrap=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer makes Ctrl-C this code, and says nothing
            error_console.print("[bold red]Interrupted.[/] What was finished before is kept.")
        raise


def _quieten_libraries() -> None:
    """What libraries log and deprecate is not for the user of a command."""
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")


def _one_line(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:300]


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
