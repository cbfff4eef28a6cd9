"""Style of the figures: one set of colours, sizes and words for all of them.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which readers with
colour-blindness can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec

import matplotlib
from ase.data import atomic_numbers
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"

REFERENCE = "#1a1a1a"
"""The colour of DFT."""

MODEL = VERMILLION
"""The colour of the model."""

FAINT = "#8a8a8a"

WIDTH = 10.0
"""inches; of a figure as wide as the page."""

RESOLUTION = 160
"""dots per inch."""

CHOSEN_ELEMENT_COLORS = {"W": BLUE, "Se": ORANGE}
OTHER_ELEMENT_COLORS = (GREEN, PURPLE, SKY, "#7F3C8D", "#6B4E16", "#4B4B4B", "#A5AA99")

KIND_COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, "#6B4E16", "#7F3C8D")
KIND_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

HOUSE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "mathtext.fontset": "dejavusans",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "figure.dpi": RESOLUTION,
}

GAMMA = {"G", "Gamma", "GAMMA"}

Arguments = ParamSpec("Arguments")


def in_house_style(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Let a drawing function draw in the house style, whatever the user's own settings."""

    @wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(HOUSE)
            return draw(*args, **kwargs)

    return styled


class HouseFigure(Figure):
    """A figure without a window, which notebooks show as it would be written."""

    def _repr_png_(self) -> bytes:
        return png(self)


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Make an empty figure, inches, that lays itself out; it has no window and no state."""
    return HouseFigure(figsize=(width, height), layout="constrained")


def mark_path(axes: Axes, ticks: Iterable[tuple[float, str]]) -> None:
    """Name the special points of a band path; "G" is Gamma, "U|K" both sides of a jump."""
    places = [
        (place, "|".join("Γ" if part in GAMMA else part for part in name.split("|")))
        for place, name in ticks
    ]
    for place, _ in places:
        axes.axvline(place, color="#d0d0d0", linewidth=0.7, zorder=0)
    axes.set_xticks([place for place, _ in places], [name for _, name in places])


def png(figure: Figure) -> bytes:
    """Render `figure` as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    with matplotlib.rc_context(HOUSE):
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def element_color(symbol: str) -> str:
    """Colour of an element, the same in every figure of every report."""
    others = OTHER_ELEMENT_COLORS
    return CHOSEN_ELEMENT_COLORS.get(symbol, others[atomic_numbers[symbol] % len(others)])


def kind_styles(kinds: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give each kind of configuration a (colour, marker), unlike as pairs up to 63 kinds."""
    return {
        kind: (KIND_COLORS[i % len(KIND_COLORS)], KIND_MARKERS[i % len(KIND_MARKERS)])
        for i, kind in enumerate(sorted(set(kinds)))
    }


def zero_line(axes: Axes) -> None:
    """Draw y = 0, behind the data."""
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)


def note(axes: Axes, text: str, x: float = 0.03, y: float = 0.97) -> None:
    """Write `text` into the upper left corner of the axes."""
    axes.text(x, y, text, transform=axes.transAxes, va="top", ha="left", fontsize=9.5)
