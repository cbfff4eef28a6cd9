"""forcebase log: what happened in the database."""

from __future__ import annotations

from typing import Annotated

import typer

from forcebase.cli.console import JsonOption, open_database, print_json, words
from forcebase.cli.records import MANY
from forcebase.cli.tables import print_table

STYLES = {"unfinished": "yellow", "running": "cyan", "failed": "red"}


def log(
    limit: Annotated[int, typer.Option(min=0, max=MANY, help="At most so many; 0 for all.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Show what was imported, collected and compared: when, by whom, and the records it wrote.

    Taints, names, tags, trust and restores are there too.

    The newest first. An activity that was cut off is unfinished: run the same command again. A
    model that did not give again what it gave before is a finding of the activity that asked it.

    Examples:
      forcebase log
      forcebase log --limit 0 --json
    """
    from forcebase.provenance.history import history

    with open_database() as db:
        found = history(db, limit)
    if as_json:
        print_json([happening.as_dict() for happening in found])
        return
    rows = [
        [
            f"{h.time:%Y-%m-%d %H:%M}" if h.time else "",
            h.user,
            "\n".join(
                [
                    f"{h.kind} {h.name}",
                    *([f"reason: {h.reason}"] if h.reason else []),
                    *(f"finding: {text}" for text in h.findings),
                ]
            ),
            "\n".join(f"{n:,} {name}" for name, n in h.written.items()),
            words((h.state, STYLES.get(h.state, ""))),
        ]
        for h in found
    ]
    print_table("UTC", ["time", "who", "what", "wrote", "state"], rows)
