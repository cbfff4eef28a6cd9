"""forcebase trace: where a record comes from, and what was made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from forcebase.cli.console import JsonOption, console, open_database, print_json

SHORT = 10
WIDE = 500
"""Columns of what is no terminal: a line of a file is not broken."""


def trace(
    record: Annotated[
        str, typer.Argument(help="Id or its first digits, name or tag; an activity or member too.")
    ],
    up: Annotated[bool, typer.Option("--up", help="Only where it comes from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what was made from it.")] = False,
    depth: Annotated[int, typer.Option(min=0, help="So many steps each way.")] = 4,
    picture: Annotated[
        Path | None, typer.Option(help="Draw it into this file: .png, .svg or .pdf.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a record comes from and what was made from it, and what of it is stale.

    Examples:
      forcebase trace wse2-pbe@1
      forcebase trace RECORD --up --depth 8
      forcebase trace wse2-mace --picture lineage.svg
      forcebase trace RECORD --json
    """
    from forcebase.integrity.subject import find_subject
    from forcebase.lineage import trace_down, trace_up

    upwards = up or not down
    downwards = down or not up
    with open_database() as db:
        subject = find_subject(db, record)
        found = {}
        if upwards:
            found["up"] = trace_up(db, *subject, depth)
        if downwards:
            found["down"] = trace_down(db, *subject, depth)
    if picture is not None:
        from forcebase.lineage.picture import draw_lineage

        draw_lineage(picture, found.get("up"), found.get("down"))
    if as_json:
        print_json({name: lineage.as_dict() for name, lineage in found.items()})
        return
    for name, lineage in found.items():
        heading = "comes from" if name == "up" else "was used for"
        paper = console if console.is_terminal else Console(width=WIDE, highlight=False)
        paper.print(_tree(lineage, heading))
    if picture is not None:
        console.print(str(picture), soft_wrap=True)


def _tree(lineage: Any, heading: str) -> Tree:
    root = lineage.nodes[lineage.root]
    tree = Tree(f"{_words(lineage, root)}  [bold]{heading}[/]")
    _grow(tree, lineage, root.record, {root.record})
    if lineage.cut:
        tree.add("[dim]and so on: more --depth, or a trace from one of these[/]")
    return tree


def _grow(tree: Tree, lineage: Any, record: str, seen: set[str]) -> None:
    """Add what is beside a record, by role; what was shown before is not opened again."""
    rests = [rest for rest in lineage.rests if rest.record == record]
    beside = [(link, node) for link, node in lineage.beside(record) if not _inline(lineage, node)]
    for role in dict.fromkeys([*(link.role for link, _ in beside), *(r.role for r in rests)]):
        for node in (node for link, node in beside if link.role == role):
            line = f"[dim]{escape(role)}[/]  {_words(lineage, node)}"
            if node.record in seen:
                tree.add(f"{line}  [dim](above)[/]")
                continue
            seen.add(node.record)
            _grow(tree.add(line), lineage, node.record, seen)
        for rest in (rest for rest in rests if rest.role == role):
            bound = "" if rest.counted else "at least "
            tree.add(f"[dim]{escape(role)}[/]  and {bound}{rest.hidden:,} more {rest.collection}")


def _inline(lineage: Any, node: Any) -> bool:
    """The act that made a record stands on its line, where the way is up."""
    return lineage.direction.value == "up" and node.collection == "activities"


def _words(lineage: Any, node: Any) -> str:
    acts = [other.title for _, other in lineage.beside(node.record) if _inline(lineage, other)]
    parts = [
        f"{node.collection} [cyan]{escape(node.record[:SHORT])}[/]",
        escape(node.title),
        *(f"[dim]by {escape(title)}[/]" for title in acts),
        f"[bold red]stale[/] {escape(node.stale)}" if node.stale else "",
    ]
    return "  ".join(part for part in parts if part)
