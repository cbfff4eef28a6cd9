"""Force errors by distance from a defect, the pristine cells' beside them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from forcebase.report import style
from forcebase.report.content import Names, ShellForces

WIDTH = 0.6
"""Of a bar; the next one begins at 1."""

GAP = 0.4
"""Between the shells and the pristine cells, which lie at no distance."""

PALE = 0.35
"""Share of colour in the bars, on which points and numbers are read."""

MARKERS = ("o", "s", "^", "D", "v", "P")


@style.in_house_style
def draw_force_shells(shells: list[ShellForces], names: Names) -> Figure:
    """Errors of forces by shell as bars, with points by element; right, how large forces are.

    Args:
        shells: entries as in `ReportContent.shells`.
        names: of the two sides.
    """
    figure = style.new_figure(3.7)
    errors, forces = figure.subplots(1, 2, width_ratios=(1.5, 1))
    places = np.arange(len(shells)) + GAP * np.array([shell.pristine for shell in shells])
    maes = np.array([shell.mae for shell in shells])
    sizes = np.array([shell.mean_force for shell in shells]) / 1000
    _draw_bars(errors, places, maes, style.MODEL, "{:.0f}", "all atoms")
    _draw_elements(errors, shells, places)
    errors.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=9, handletextpad=0.4, borderaxespad=0.2
    )
    _draw_bars(forces, places, sizes, style.REFERENCE, "{:.1f}", names.reference)
    _finish(errors, "Force MAE (meV/Å)", places, [_tick(shell) for shell in shells])
    _finish(
        forces, f"Mean |F| of {names.reference} (eV/Å)", places, [shell.label for shell in shells]
    )
    return figure


def _draw_bars(
    axes: Axes,
    places: NDArray[np.float64],
    heights: NDArray[np.float64],
    color: str,
    pattern: str,
    label: str,
) -> None:
    """Bars with their numbers at the foot, away from the points."""
    pale = tuple(1 - PALE * (1 - part) for part in to_rgb(color))
    axes.bar(places, heights, WIDTH, color=pale, label=label)
    for place, height in zip(places, heights, strict=True):
        axes.annotate(
            pattern.format(height),
            (place, 0),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )


def _draw_elements(axes: Axes, shells: list[ShellForces], places: NDArray[np.float64]) -> None:
    """One series of points an element, beside each other on the bars."""
    elements = sorted({symbol for shell in shells for symbol in shell.mae_by_element})
    for i, symbol in enumerate(elements):
        known = [k for k, shell in enumerate(shells) if symbol in shell.mae_by_element]
        axes.plot(
            places[known] + WIDTH * ((i + 1) / (len(elements) + 1) - 0.5),
            [shells[k].mae_by_element[symbol] for k in known],
            linestyle="none",
            marker=MARKERS[i % len(MARKERS)],
            color=style.element_color(symbol),
            markeredgecolor="white",
            markeredgewidth=0.7,
            markersize=8,
            label=symbol,
        )


def _finish(axes: Axes, label: str, places: NDArray[np.float64], ticks: list[str]) -> None:
    axes.set(ylabel=label, xlabel="Distance from the defect")
    axes.margins(y=0.08)
    axes.grid(True, axis="y")
    # By the baseline of the last line: Å is taller than other letters, so tops do not line up.
    n_lines = 1 + ticks[0].count("\n")
    axes.tick_params(axis="x", length=0, pad=3 + 11 * n_lines)
    axes.set_xticks(places, ticks, va="baseline")


def _tick(shell: ShellForces) -> str:
    atoms = "atom" if shell.n_atoms == 1 else "atoms"
    cells = "cell" if shell.n_structures == 1 else "cells"
    return f"{shell.label}\n{shell.n_atoms} {atoms}\n{shell.n_structures} {cells}"
