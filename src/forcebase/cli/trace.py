"""forcebase trace: where a record comes from, and what was made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.tree import Tree

from forcebase.cli.arguments import SubjectArgument
from forcebase.cli.console import (
    JsonOption,
    Part,
    open_database,
    print_json,
    print_tree,
    say,
    words,
)
from forcebase.paths import check_writable

SHORT = 10


def trace(
    record: SubjectArgument,
    up: Annotated[bool, typer.Option("--up", help="Only where it comes from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what was made from it.")] = False,
    depth: Annotated[int, typer.Option(min=0, max=1000, help="So many steps each way.")] = 4,
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
    from forcebase.provenance import trace_down, trace_up
    from forcebase.provenance.picture import SUFFIXES, draw_lineage
    from forcebase.provenance.subject import find_subject

    if picture is not None:
        check_writable(picture, SUFFIXES)
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
        draw_lineage(picture, found.get("up"), found.get("down"))
    if as_json:
        print_json({name: lineage.as_dict() for name, lineage in found.items()})
        return
    for name, lineage in found.items():
        heading = "comes from" if name == "up" else "was used for"
        print_tree(_tree(lineage, heading))
    if picture is not None:
        say(str(picture))


def _tree(lineage: Any, heading: str) -> Tree:
    root = lineage.nodes[lineage.root]
    tree = Tree(words(*_told(lineage, root), "  ", (heading, "bold")))
    _grow(tree, lineage, root.record, {root.record})
    if lineage.cut:
        tree.add(words(("and so on: more --depth, or a trace from one of these", "dim")))
    return tree


def _grow(tree: Tree, lineage: Any, record: str, seen: set[str]) -> None:
    """Add what is beside a record, by role; what was shown before is not opened again."""
    rests = [rest for rest in lineage.rests if rest.record == record]
    beside = [(link, node) for link, node in lineage.beside(record) if not _inline(lineage, node)]
    for role in dict.fromkeys([*(link.role for link, _ in beside), *(r.role for r in rests)]):
        for node in (node for link, node in beside if link.role == role):
            line = [(role, "dim"), "  ", *_told(lineage, node)]
            if node.record in seen:
                tree.add(words(*line, "  ", ("(above)", "dim")))
                continue
            seen.add(node.record)
            _grow(tree.add(words(*line)), lineage, node.record, seen)
        for rest in (rest for rest in rests if rest.role == role):
            bound = "" if rest.counted else "at least "
            more = f"  and {bound}{rest.hidden:,} more {rest.collection}"
            tree.add(words((role, "dim"), more))


def _inline(lineage: Any, node: Any) -> bool:
    """The act that made a record stands on its line, where the way is up."""
    return lineage.direction.value == "up" and node.collection == "activities"


def _told(lineage: Any, node: Any) -> list[Part]:
    """A record's line, in the parts that `words` takes."""
    acts = [other.title for _, other in lineage.beside(node.record) if _inline(lineage, other)]
    told: list[Part] = [f"{node.collection} ", (node.record[:SHORT], "cyan")]
    if node.title:
        told.append(f"  {node.title}")
    told += [(f"  by {title}", "dim") for title in acts]
    if node.stale:
        told += ["  ", ("stale", "bold red"), f" {node.stale}"]
    return told
