"""Tables on a terminal: one line a row where there are many, and numbers that line up.

Through a pipe nothing is folded or cut, so that `grep` and `cut` see whole lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from forcebase.cli.console import WIDE, Plain, console, plain, words

ID_OR_NUMBER = re.compile(r"[0-9a-f]{8,10}|[-+0-9.e]*|nan|-?inf")
LEAST = 4
"""Characters of a line that are left to a column whose cells are folded."""
SHORTEST_CUT = 14
"""Characters that are left of a cell that is cut; columns go before cells get shorter."""
GAP = "  "
"""Between the columns of a table."""


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; numbers to the right. A cell is any value, or styled by `words`.

    Where the terminal is too narrow, long cells are folded; ids, numbers and other short ones
    stay whole where that leaves room.
    """
    columns = _headings(columns, rows)
    whole = _kept_whole(columns, rows)
    table = _table(title)
    for index, column in enumerate(columns):
        kept = index in whole
        table.add_column(plain(column), justify=_side(rows, index), overflow="fold", no_wrap=kept)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    _print(table)


def print_lines(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Print a table of one line a row, the first column being what a row is called by.

    Where the terminal is too narrow, long texts are cut, and then columns left out, the last
    ones first; ids, numbers and what a row is called by are never cut.

    Returns:
        Headings of the columns that were left out.
    """
    columns = _headings(columns, rows)
    texts = [[cell(row[index]).plain for row in rows] for index in range(len(columns))]
    needs = [max(map(len, [*plain(name).split("\n"), *texts[i]])) for i, name in enumerate(columns)]
    least = [
        need
        if i == 0 or _is_copied(texts[i])
        else min(need, max(SHORTEST_CUT, *map(len, plain(name).split("\n"))))
        for i, (need, name) in enumerate(zip(needs, columns, strict=True))
    ]
    shown = list(range(len(columns)))
    while len(shown) > 1 and _line(least[i] for i in shown) > _room():
        shown.pop()
    widths = {i: needs[i] for i in shown}
    while _line(widths.values()) > _room():
        longest = max(
            (i for i in shown if widths[i] > least[i]), key=lambda i: widths[i], default=None
        )
        if longest is None:
            break
        widths[longest] -= 1
    table = _table(title)
    for index in shown:
        table.add_column(
            plain(columns[index]),
            justify=_side(rows, index),
            overflow="ellipsis",
            no_wrap=True,
            width=widths[index],
        )
    for row in rows:
        table.add_row(*(_cut(cell(row[index]), widths[index]) for index in shown))
    _print(table)
    return [plain(name).replace("\n", " ") for i, name in enumerate(columns) if i not in shown]


def _cut(text: Text, width: int) -> Text:
    """A text that is too long without its middle: names differ at their ends."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return text[: width - 1 - end] + Text("…") + text[len(text) - end :]


def _line(widths: Any) -> int:
    found = list(widths)
    return sum(found) + len(GAP) * (len(found) + 1)


def _room() -> int:
    """Characters of a line; as many as there are where no terminal breaks them."""
    return console.width if console.is_terminal or os.environ.get("COLUMNS") else WIDE


def _print(table: Table) -> None:
    (console if _room() == console.width else Plain(width=WIDE)).print(table)


def _table(title: str) -> Table:
    return Table(
        title=plain(title),
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _side(rows: Sequence[Sequence[Any]], index: int) -> Literal["left", "right"]:
    values = [row[index] for row in rows if row[index] not in ("", None)]
    return "right" if values and all(map(_is_number, values)) else "left"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Number)) and not isinstance(value, bool)


def _headings(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Units go into a line of their own where the terminal is too narrow for all."""
    widths = [
        max(map(len, [plain(name), *(cell(row[index]).plain for row in rows)]))
        for index, name in enumerate(columns)
    ]
    if _line(widths) <= _room():
        return list(columns)
    return [name.replace(" (", "\n(") for name in columns]


def _is_copied(texts: Sequence[str]) -> bool:
    """Whether all of them are ids and numbers: what people copy, and what a cut would change."""
    return all(map(ID_OR_NUMBER.fullmatch, texts))


def _kept_whole(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> set[int]:
    """Columns to keep as wide as they are: ids and numbers, then the shortest, while there is room.

    Each of the others is left the room of `LEAST` characters, or none is kept: what a column of
    one line has no room for would not be printed at all.
    """
    texts = [[cell(row[index]).plain for row in rows] for index in range(len(columns))]
    widths = [
        max(map(len, [*plain(name).split("\n"), *texts[i]])) for i, name in enumerate(columns)
    ]

    def rank(index: int) -> tuple[bool, int]:
        return not _is_copied(texts[index]), widths[index]

    room = _room() - len(GAP) * (len(columns) + 1) - sum(min(w, LEAST) for w in widths)
    whole: set[int] = set()
    for index in sorted(range(len(columns)), key=rank):
        room -= max(widths[index] - LEAST, 0)
        if room < 0:
            break
        whole.add(index)
    return whole


class Number(str):
    """A number that is written out already, with as many digits as its quantity has."""


def number(value: Any, digits: int | None = None) -> Any:
    """A number with so many digits behind the point; with None, and of anything else, the value."""
    if digits is None or not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return Number(f"{value:.{digits}f}")


def cell(value: Any) -> Text:
    """What stands in a table for a value; what has a style already stays as it is."""
    return value if isinstance(value, Text) else words(_cell_text(value))


def _cell_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell_text(item) for item in value)
    return "" if value is None else str(value)
