"""forcebase structure: add one by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, open_database, print_json, say

app = CommandGroup(help="Structures that are added by hand.")


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="CIF, POSCAR, extxyz, geometry.in, ...")],
    name: Annotated[str | None, typer.Option(help="Name it, to call it by.")] = None,
    kind: Annotated[str, typer.Option(help="Configuration kind, as pristine-2x2.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Keep the structure of a file; the same again gives the one there is.

    Labels in the file are left out: `forcebase import` takes those, with their method.

    Examples:
      forcebase structure add si.cif --name si
      forcebase structure add POSCAR --kind surface
    """
    from forcebase.actions.structures import add_structure

    with open_database(writing=True) as db:
        found = add_structure(db, file, name=name, kind=kind)
        told = {"id": found.id, "formula": found.formula, "n_atoms": found.n_atoms, "name": name}
    if as_json:
        print_json(told)
        return
    called = f", called {name}" if name else ""
    say(f"structure {found.id[:10]}: {found.formula}, {found.n_atoms} atoms{called}")
