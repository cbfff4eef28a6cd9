"""Timing: wall times of DFT and the model for the same configurations."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from forcebase.report import style
from forcebase.report.content import Timing

ROW_HEIGHT = 0.62
"""inches per kind of configuration."""


@style.in_house_style
def draw_timing(timings: list[Timing]) -> Figure:
    """Seconds per configuration by kind, logarithmic; bars join the medians."""
    groups = _by_kind(timings)
    figure = style.new_figure(1.3 + ROW_HEIGHT * len(groups))
    axes = figure.subplots()
    for row, group in enumerate(groups.values()):
        reference = np.array([timing.reference_seconds for timing in group])
        model = np.array([timing.model_seconds for timing in group])
        medians = np.median(model), np.median(reference)
        axes.plot(medians, (row, row), color="#cfcfcf", linewidth=6, zorder=1)
        for seconds, color in ((reference, style.REFERENCE), (model, style.MODEL)):
            axes.scatter(
                seconds, np.full(len(seconds), row), s=42, color=color, alpha=0.75, lw=0, zorder=2
            )
        axes.annotate(
            f"× {_two_digits(medians[1] / medians[0])}",
            (float(np.sqrt(medians[0] * medians[1])), row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            va="bottom",
        )
    names = [f"{kind}\n{n_atoms} atoms" for kind, n_atoms in groups]
    axes.set_yticks(range(len(groups)), names)
    axes.set_ylim(len(groups) - 0.5, -0.65)
    axes.set_xscale("log")
    axes.set_xlabel("Wall time per configuration (s)")
    axes.grid(True, axis="x")
    shown = [
        Line2D([], [], marker="o", linestyle="", color=color, label=label)
        for color, label in ((style.MODEL, "MACE"), (style.REFERENCE, "DFT"))
    ]
    figure.legend(handles=shown, loc="outside upper right", ncols=2, handletextpad=0.1)
    return figure


def _by_kind(timings: list[Timing]) -> dict[tuple[str, int], list[Timing]]:
    groups: dict[tuple[str, int], list[Timing]] = defaultdict(list)
    for timing in sorted(timings, key=lambda timing: (timing.n_atoms, timing.kind)):
        groups[timing.kind, timing.n_atoms].append(timing)
    return dict(groups)


def _two_digits(ratio: float) -> str:
    """Two significant digits: the scatter of wall times allows no more."""
    if ratio < 10:
        return f"{ratio:.1f}"
    return f"{int(float(f'{ratio:.1e}')):,}"
