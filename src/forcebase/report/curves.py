"""Learning curve: errors on the valid split, epoch by epoch."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from forcebase.report import style

WIDE = 20.0
"""From such a ratio of largest to smallest error on, a decade gets three ticks, not six."""

FEW_EPOCHS = 3
"""Up to so many, points are drawn, for a line would not be seen."""


@style.in_house_style
def draw_learning_curve(curve: list[dict[str, float]]) -> Figure:
    """Energy and force errors on the valid split, logarithmic; the model kept is marked.

    Args:
        curve: entries as in `ReportContent.learning_curve`.
    """
    figure = style.new_figure(3.4)
    energy, force = figure.subplots(1, 2)
    _draw_errors(energy, curve, "energy_mae", "Energy MAE (meV/atom)", style.BLUE)
    _draw_errors(force, curve, "force_mae", "Force MAE (meV/Å)", style.VERMILLION)
    return figure


def _draw_errors(
    axes: Axes, curve: list[dict[str, float]], key: str, label: str, color: str
) -> None:
    epochs = 1 + np.array([entry["epoch"] for entry in curve])
    errors = 1e3 * np.array([entry[key] for entry in curve])
    axes.semilogy(epochs, errors, color=color, marker="o" if len(curve) <= FEW_EPOCHS else "", ms=4)
    kept = int(np.argmin([entry["loss"] for entry in curve]))
    axes.plot(epochs[kept], errors[kept], "o", color=color, markersize=8)
    axes.annotate(
        f"{errors[kept]:.3g}",
        (epochs[kept], errors[kept]),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
        color=color,
        fontweight="bold",
    )
    wide = errors.max() > WIDE * errors.min()
    ticks = (1.0, 2.0, 5.0) if wide else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.05, y=0.08)
    if len(curve) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.set(xlabel="Epoch", ylabel=label)
    axes.grid(True)
