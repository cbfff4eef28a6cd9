"""forcebase db users: members of a group and what they may do."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, note, print_json, say
from forcebase.cli.tables import print_table
from forcebase.errors import InputError

app = CommandGroup(help="Users of the database: readers, curators, admins.")
NameArgument = Annotated[str, typer.Argument(help="Of the user.")]


@app.command()
def add(
    name: NameArgument,
    role: Annotated[str, typer.Option(help="reader, curator or admin.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the address to this new file, for your eyes only.")
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask for the password, or read it from stdin.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a user of the database in use; the address with the password is shown this once.

    A reader runs all commands that only read. A curator also imports, curates, trains, compares,
    names and taints, and cannot delete or change records, drop collections or change the schema.
    An admin may do all in this database, and adds users. The password is made without --ask;
    with --out, the file is for `set -a; source FILE; set +a`.

    Examples:
      forcebase db users add rita --role reader
      forcebase db users add carl --role curator --out carl.env
      forcebase db users add anna --role admin --ask < password.txt
    """
    from forcebase.database import users
    from forcebase.database.connection import server_uri

    users.check_user(name, role)
    password = _asked() if ask else users.new_password()
    wanted = users.check_user(name, role, password)
    with _database() as database:
        uri = users.user_uri(server_uri(_settings()), database.name, name, password)
        if out is None:
            users.add_user(database, name, wanted, password)
        else:
            with _secret(out, _environment(uri, database.name)):
                users.add_user(database, name, wanted, password)
        place = database.name
    if as_json:
        shown = {"file": str(out)} if out else {"uri": uri}
        print_json({"user": name, "role": str(wanted), "database": place, **shown})
        return
    say(f"{name} is a {wanted} of database {place}.")
    if out is not None:
        say(f"The address is in {out}: hand it over.")
        return
    note("The address holds the password, and is not shown again:")
    say(uri)


@app.command(name="list")
def list_all(as_json: JsonOption = False) -> None:
    """List the users of the database in use, with their roles.

    Example:
      forcebase db users list --json
    """
    from forcebase.database import users

    with _database() as database:
        found = users.list_users(database)
        place = database.name
    if as_json:
        print_json([{"user": user.name, "role": user.role} for user in found])
        return
    rows = [[user.name, user.role or "other rights"] for user in found]
    print_table(f"users of database {place}: {len(found)}", ["user", "role"], rows)


@app.command()
def remove(name: NameArgument, as_json: JsonOption = False) -> None:
    """Take a user's access away, at once: open connections lose it too.

    Example:
      forcebase db users remove rita
    """
    from forcebase.database import users

    with _database() as database:
        user = users.remove_user(database, name)
        place = database.name
    if as_json:
        print_json({"user": user.name, "role": user.role, "database": place})
        return
    say(f"{name} has no access to database {place} any more.")


def _settings() -> Any:
    from forcebase.settings import Settings

    return Settings.from_environment()


@contextmanager
def _database() -> Iterator[Any]:
    """The database in use, in shape."""
    from forcebase.cli.console import open_database

    with open_database() as db:
        yield db.raw


def _asked() -> str:
    """A password from the terminal, typed twice, or from stdin's first line."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise InputError("The two are not the same.", hint="Type it twice alike.")
    return first


def _environment(uri: str, database: str) -> str:
    return f"FORCEBASE_MONGODB_URI={shlex.quote(uri)}\nFORCEBASE_DATABASE={shlex.quote(database)}\n"


@contextmanager
def _secret(path: Path, text: str) -> Iterator[None]:
    """Write a new file that only its owner can read; it goes again if what follows fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{path} is there already.", hint="Give another name.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
