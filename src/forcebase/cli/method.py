"""forcebase method: what tells DFT methods apart, and which are taken for one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forcebase.cli.arguments import MethodArgument
from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.cli.records import SHORT
from forcebase.cli.tables import print_table

app = CommandGroup(help="What tells DFT methods apart, and which are taken for one.")


@app.command()
def diff(one: MethodArgument, other: MethodArgument, as_json: JsonOption = False) -> None:
    """Show the rules in which two methods differ.

    Example:
      forcebase method diff METHOD OTHER
    """
    from forcebase.records.method_differences import differences

    with open_database() as db:
        methods = [db.resolve(text, "methods")[1] for text in (one, other)]
        found = differences(methods)
        equal = _equal(db, methods[0].id, methods[1].id)
    if as_json:
        rules = {name: dict(zip(("one", "other"), v, strict=True)) for name, v in found.items()}
        print_json({"methods": [m.id for m in methods], "rules": rules, "equated_by": equal})
        return
    if not found:
        say("They are one method.")
        return
    titles = ["rule", *(f"{m.id[:SHORT]} {m.title}" for m in methods)]
    print_table("differences", titles, [[name, *values] for name, values in found.items()])
    for equivalence in equal:
        say(f"They are taken for one: {equivalence['id'][:SHORT]}, {equivalence['reason']}")


@app.command()
def equate(
    one: MethodArgument,
    other: MethodArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the record.")],
    as_json: JsonOption = False,
) -> None:
    """Record that two methods are the same for the purpose: datasets and comparisons take both.

    `forcebase taint` on the record takes it back.

    Example:
      forcebase method equate METHOD OTHER --reason "NGX set by hand, energies agree to 0.1 meV"
    """
    from forcebase.database.equivalences import equate as record

    with open_database(writing=True) as db:
        first, second = (db.resolve(text, "methods")[1] for text in (one, other))
        found = record(db, first, second, reason)
    if as_json:
        print_json({"id": found.id, "methods": list(found.methods), "reason": found.reason})
        return
    say(
        f"{found.id[:SHORT]}: {first.title} ({first.id[:SHORT]}) and {second.title} "
        f"({second.id[:SHORT]}) are taken for one."
    )


def _equal(db: Any, one: str, other: str) -> list[dict[str, str]]:
    from forcebase.database.equivalences import equal_methods

    used = equal_methods(db, [one]).get(other, [])
    return [{"id": e.id, "reason": e.reason} for e in db.equivalences.find({"_id": {"$in": used}})]
