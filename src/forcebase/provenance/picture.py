"""A lineage as a picture: origins on the left, what was made of the record on the right."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forcebase.errors import InputError
from forcebase.provenance.graph import Direction, Lineage
from forcebase.records.kinds import kind_of
from forcebase.safety.text import readable

STALE = "#c22f2f"
WIDTH, HEIGHT = 3.4, 0.62
"""Of a column and of a row, inch."""
BOX = (2.3, 0.46)
LONGEST = 36
"""Characters of a title that a box has room for."""
SUFFIXES = (".png", ".svg", ".pdf")
Place = tuple[float, float]


@dataclass(frozen=True)
class _Box:
    """One box of the picture: a record, or a count of more."""

    text: str
    colour: str
    stale: bool = False
    dashed: bool = False


def draw_lineage(path: Path, up: Lineage | None, down: Lineage | None) -> None:
    """Draw one or both directions of one record's lineage into a file.

    Raises:
        InputError: neither is given, the suffix is not known, or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not a picture.", hint=f"End it in {', '.join(SUFFIXES)}.")
    sides = [side for side in (up, down) if side is not None]
    boxes, arrows = _content(sides)
    places = _places(sides, boxes)
    columns = [x for x, _ in places.values()]
    rows = [y for _, y in places.values()]
    figure = Figure(
        figsize=(max(columns) - min(columns) + WIDTH, max(rows) - min(rows) + 2 * HEIGHT)
    )
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(min(columns) - WIDTH / 2, max(columns) + WIDTH / 2)
    axes.set_ylim(min(rows) - HEIGHT, max(rows) + HEIGHT)
    axes.set_axis_off()
    for earlier, later in arrows:
        _draw_arrow(axes, places[earlier], places[later])
    root = sides[0].root
    for name, box in boxes.items():
        _draw_box(axes, places[name], box, bold=name == root)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _content(sides: list[Lineage]) -> tuple[dict[str, _Box], list[tuple[str, str]]]:
    """Boxes by name, and arrows from the earlier to the later."""
    boxes: dict[str, _Box] = {}
    arrows: dict[tuple[str, str], None] = {}
    for side in sides:
        for node in side.nodes.values():
            lines = f"{node.collection} {node.record[:10]}\n{_shortened(node.title)}"
            boxes[node.record] = _Box(
                lines, kind_of(node.collection).about.colour, bool(node.stale)
            )
        for link in side.links:
            arrows[link.earlier, link.later] = None
        for number, rest in enumerate(side.rests):
            name = f"{side.direction.value} {number}"
            more = f"{rest.hidden:,} more" if rest.counted else f"more than {rest.hidden:,} more"
            boxes[name] = _Box(
                f"{rest.collection}\n{more}", kind_of(rest.collection).about.colour, dashed=True
            )
            up = side.direction is Direction.UP
            arrows[(name, rest.record) if up else (rest.record, name)] = None
    return boxes, list(arrows)


def _places(sides: list[Lineage], boxes: dict[str, _Box]) -> dict[str, Place]:
    """A column for each step from the root, its boxes in the order in which they were found."""
    columns: dict[int, list[str]] = defaultdict(list)
    for side in sides:
        sign = -1 if side.direction is Direction.UP else 1
        steps = _farthest(side)
        for number, rest in enumerate(side.rests):
            steps[f"{side.direction.value} {number}"] = steps[rest.record] + 1
        for name, step in steps.items():
            if name not in columns[sign * step]:
                columns[sign * step].append(name)
    placed: dict[str, Place] = {}
    for column, names in columns.items():
        for row, name in enumerate(names):
            if name in boxes and name not in placed:
                placed[name] = (column * WIDTH, ((len(names) - 1) / 2 - row) * HEIGHT)
    return placed


def _shortened(text: str) -> str:
    text = readable(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _farthest(side: Lineage) -> dict[str, int]:
    """Steps from the root by the longest way, so that no arrow stays within a column."""
    steps = dict.fromkeys(side.nodes, 0)
    for _ in side.nodes:  # as often as a way can be long
        before = dict(steps)
        for link in side.links:
            ends = (link.later, link.earlier)
            near, far = ends if side.direction is Direction.UP else ends[::-1]
            steps[far] = max(steps[far], steps[near] + 1)
        if steps == before:
            break
    return steps


def _draw_arrow(axes: Any, start: Place, end: Place) -> None:
    side = 1 if end[0] > start[0] else -1 if end[0] < start[0] else 0
    reach = side * BOX[0] / 2
    axes.annotate(
        "",
        xy=(end[0] - reach, end[1]),
        xytext=(start[0] + reach, start[1]),
        arrowprops={"arrowstyle": "-|>", "color": "#888888", "lw": 0.7, "shrinkA": 0, "shrinkB": 0},
        zorder=1,
    )


def _draw_box(axes: Any, place: Place, box: _Box, bold: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    edge = STALE if box.stale else "#555555"
    axes.add_patch(
        FancyBboxPatch(
            (place[0] - BOX[0] / 2, place[1] - BOX[1] / 2),
            *BOX,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=box.colour,
            edgecolor=edge,
            linewidth=2.0 if bold or box.stale else 0.8,
            linestyle="--" if box.dashed else "-",
            zorder=2,
        )
    )
    style = {"fontsize": 7, "zorder": 3, "color": "#222222", "parse_math": False}
    axes.text(*place, box.text, ha="center", va="center", **style)
