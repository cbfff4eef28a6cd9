"""forcebase db: the embedded MongoDB, and the users of any."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli import users
from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, print_json, say
from forcebase.settings import Settings

app = CommandGroup(help="Start, stop and look at the embedded MongoDB; users of any.")
app.add_typer(users.app, name="users")


def _server() -> Any:
    from forcebase.database.server import EmbeddedServer

    return EmbeddedServer(Settings.from_environment().home)


@app.command()
def start(as_json: JsonOption = False) -> None:
    """Start it, or find the one that is running.

    Example:
      forcebase db start
    """
    _print_status(_server().start(), as_json)


@app.command()
def stop() -> None:
    """Stop it cleanly.

    Example:
      forcebase db stop
    """
    say("Stopped." if _server().stop() else "It was not running.")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Say whether it runs, and where; the exit code is 0 when it does, else 1.

    Example:
      forcebase db status --json
    """
    found = _server().status()
    _print_status(found, as_json)
    if not found.running:
        raise typer.Exit(1)


@app.command()
def migrate(
    backup: Annotated[
        Path | None, typer.Option(help="Where the backup goes: a folder or a new file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring an older database to this forcebase's schema, after a backup; goes on after a kill.

    Examples:
      forcebase db migrate
      forcebase db migrate --backup /backups
    """
    from forcebase.integrity.migrating import migrate_database

    done = migrate_database(Settings.from_environment(), backup)
    if as_json:
        print_json(done.as_dict())
        return
    if done.before is None:
        say(f"The database has schema version {done.after}: there is nothing to do.")
        return
    say(f"The backup of what was there is {done.backup}.")
    say(f"Schema version {done.before} -> {done.after}. Records keep their ids.")
    if done.unrecorded:
        say(
            f"{done.unrecorded} DFT methods do not keep all their rules; importing their files "
            "again supplies them."
        )


def _print_status(found: Any, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(found))
        return
    say(("running", "green") if found.running else ("not running", "yellow"))
    for key, value in asdict(found).items():
        if key != "running" and value is not None:
            say(f"  {key:<10} {value}")
