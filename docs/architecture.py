"""Draw docs/images/architecture.svg from the imports in the sources: `python docs/architecture.py`.

Rooms are the folders of src/forcebase, on the floors that tests/test_architecture.py checks;
the modules beside them are one box, the ground floor. An arrow goes from a room to one that it
imports; those that follow from others are left out. The picture carries its graph as text, and
tests/docs/test_architecture_picture.py compares that with the sources.
"""

from __future__ import annotations

import ast
import runpy
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
floors = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))
GROUND = "ground floor"
BOX, THIN = (224, 82), 26
"""Width and height of a room; width of an arrow that passes a floor."""
GAP, RISE, MARGIN = 24, 126, 20
SWEEPS = 24
LETTERS, LINES = 32, 3
"""Of a line in a box, and lines."""

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class House:
    """Rooms by floor, the lowest first, what each imports, and what its package says of itself."""

    floors: tuple[tuple[str, ...], ...]
    imports: Graph
    purposes: Mapping[str, str]

    def text(self) -> str:
        """The graph as the picture carries it: floors from the top, and the arrows of each room."""
        lines = []
        for rooms in reversed(self.floors):
            for room in rooms:
                below = ", ".join(sorted(self.imports[room])) or "nothing"
                lines.append(f"{room} ({self.purposes[room]}) -> {below}")
        return "\n".join(lines)


def read_house() -> House:
    """Read rooms and imports from the sources."""
    packages = {path.parent.name for path in (ROOT / "src/forcebase").glob("*/__init__.py")}
    imports: dict[str, set[str]] = {GROUND: set()}
    for name, path in floors["inner_modules"]().items():
        here = _place(floors["room"](name), packages)
        below = {_place(floors["room"](n), packages) for n in floors["imports"](path) if "." in n}
        imports.setdefault(here, set()).update(below - {here})
    imports[GROUND] = set()  # safety, a room, stands among its modules
    levels = [tuple(room for room in names if room in packages) for names in floors["FLOORS"]]
    placed = tuple(rooms for rooms in levels if rooms)
    if "safety" in packages:
        placed = tuple(rooms for rooms in placed if rooms != ("safety",))
        imports.pop("safety", None)
    reduced = reduction({room: below - {"safety"} for room, below in imports.items()})
    purposes = {room: _purpose(room) for rooms in placed for room in rooms}
    purposes[GROUND] = ", ".join(
        name for names in floors["FLOORS"] for name in names if name not in purposes
    )
    return House(((GROUND,), *placed), reduced, purposes)


def _place(room: str, packages: Iterable[str]) -> str:
    return room if room in packages and room != "safety" else GROUND


def _purpose(room: str) -> str:
    tree = ast.parse((ROOT / "src/forcebase" / room / "__init__.py").read_text())
    return (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")


def reduction(graph: Mapping[str, Iterable[str]]) -> Graph:
    """Leave out imports of what is imported by something imported too."""
    known: dict[str, frozenset[str]] = {}

    def reach(room: str) -> frozenset[str]:
        if room not in known:
            below = frozenset(graph[room])
            known[room] = below.union(*map(reach, below))
        return known[room]

    return {
        room: frozenset(
            one for one in below if not any(one in reach(other) for other in below if other != one)
        )
        for room, below in graph.items()
    }


@dataclass(frozen=True)
class Layout:
    """Where things are: x of the middle of each node by floor; nodes of arrows are (from, to)."""

    rows: Sequence[Sequence[object]]
    x: Mapping[tuple[int, object], float]


def lay_out(house: House) -> Layout:
    """Place rooms on their floors so that arrows are short and cross little."""
    level = {room: i for i, rooms in enumerate(house.floors) for room in rooms}
    rows: list[list[object]] = [list(rooms) for rooms in house.floors]
    near: dict[tuple[int, object], list[tuple[int, object]]] = {}
    for room in sorted(house.imports):
        for below in sorted(house.imports[room]):
            chain: list[tuple[int, object]] = [(level[room], room)]
            for floor in range(level[room] - 1, level[below], -1):
                rows[floor].append((room, below))
                chain.append((floor, (room, below)))
            chain.append((level[below], below))
            for one, other in pairwise(chain):
                near.setdefault(one, []).append(other)
                near.setdefault(other, []).append(one)
    x: dict[tuple[int, object], float] = {}
    for floor, row in enumerate(rows):
        x |= _spread(floor, row, {node: float(i) for i, node in enumerate(row)})
    for sweep in range(SWEEPS):
        order = range(len(rows)) if sweep % 2 else range(len(rows) - 1, -1, -1)
        for floor in order:
            wanted = {}
            for node in rows[floor]:
                places = [x[other] for other in near.get((floor, node), [])]
                wanted[node] = sum(places) / len(places) if places else x[floor, node]
            rows[floor].sort(key=lambda node: (wanted[node], str(node)))
            x |= _spread(floor, rows[floor], wanted)
    return Layout(rows, x)


def _spread(
    floor: int, row: Sequence[object], wanted: Mapping[object, float]
) -> dict[tuple[int, object], float]:
    """As near to what is wanted as the widths allow, in this order, by least squares."""
    offsets, offset = [], 0.0
    for before, node in zip([None, *row], row, strict=False):
        offset += 0.0 if before is None else (_width(before) + _width(node)) / 2 + GAP
        offsets.append(offset)
    blocks: list[list[float]] = []  # (sum, number) of neighbours that touch
    for node, offset in zip(row, offsets, strict=True):
        blocks.append([wanted[node] - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + number]
    starts = [total / number for total, number in blocks for _ in range(int(number))]
    places = zip(row, offsets, starts, strict=True)
    return {(floor, node): start + offset for node, offset, start in places}


def _width(node: object) -> float:
    return THIN if isinstance(node, tuple) else 4 * BOX[0] if node == GROUND else BOX[0]


def draw(house: House) -> str:
    """The picture as SVG, the graph's text in its description."""
    layout = lay_out(house)
    left = min(x - _width(node) / 2 for (_, node), x in layout.x.items()) - MARGIN
    right = max(x + _width(node) / 2 for (_, node), x in layout.x.items()) + MARGIN
    height = RISE * len(house.floors) - (RISE - BOX[1]) + 2 * MARGIN
    top = {floor: height - MARGIN - BOX[1] - RISE * floor for floor in range(len(house.floors))}
    level = {room: i for i, rooms in enumerate(house.floors) for room in rooms}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right - left:.0f} {height}" '
        'font-family="sans-serif" role="img">',
        "<title>Rooms of forcebase by floor, and what they import</title>",
        f"<desc>{escape(house.text())}</desc>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#667"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for room in sorted(house.imports):
        for below in sorted(house.imports[room]):
            floors_between = range(level[room] - 1, level[below], -1)
            passed = [(layout.x[f, (room, below)] - left, top[f]) for f in floors_between]
            begin = (layout.x[level[room], room] - left, top[level[room]] + BOX[1])
            end = (layout.x[level[below], below] - left, top[level[below]] - 2)
            if below == GROUND:
                end = (begin[0] if not passed else passed[-1][0], end[1])
            parts.append(_arrow(begin, passed, end))
    for floor, rooms in enumerate(house.floors):
        for room in rooms:
            parts.append(_box(room, house, layout.x[floor, room] - left, top[floor]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrow(
    begin: tuple[float, float], passed: Sequence[tuple[float, float]], end: tuple[float, float]
) -> str:
    """Straight down through the floors that it passes, in curves between them."""
    path, at = f"M{begin[0]:.0f},{begin[1]:.0f}", begin
    for x, y in passed:
        middle = (at[1] + y) / 2
        path += f" C{at[0]:.0f},{middle:.0f} {x:.0f},{middle:.0f} {x:.0f},{y:.0f}"
        path += f" L{x:.0f},{y + BOX[1]:.0f}"
        at = (x, y + BOX[1])
    middle = (at[1] + end[1]) / 2
    path += f" C{at[0]:.0f},{middle:.0f} {end[0]:.0f},{middle:.0f} {end[0]:.0f},{end[1]:.0f}"
    return f'<path d="{path}" fill="none" stroke="#667" marker-end="url(#head)"/>'


def _box(room: str, house: House, x: float, top: float) -> str:
    width = _width(room)
    lines = textwrap.wrap(
        house.purposes[room], int(LETTERS * width / BOX[0]), break_on_hyphens=False
    )
    shown = lines[:LINES]
    if len(lines) > LINES:
        shown[-1] = f"{shown[-1].rstrip(',:;')} ..."
    words = [
        f'<rect x="{x - width / 2:.0f}" y="{top:.0f}" width="{width:.0f}" height="{BOX[1]}" '
        'rx="6" fill="#eef3f8" stroke="#345"/>',
        f'<text x="{x:.0f}" y="{top + 22:.0f}" text-anchor="middle" font-size="16" '
        f'font-weight="bold" fill="#123">{room}</text>',
    ]
    words += [
        f'<text x="{x:.0f}" y="{top + 40 + 15 * i:.0f}" text-anchor="middle" font-size="12" '
        f'fill="#345">{escape(line)}</text>'
        for i, line in enumerate(shown)
    ]
    return "\n".join(words)


if __name__ == "__main__":
    PICTURE.write_text(draw(read_house()))
