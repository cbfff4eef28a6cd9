"""Timing: wall times of the reference and the model for the same configurations."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from forcebase.report import style
from forcebase.report.content import Names, Timing

ROW_HEIGHT = 0.62
"""inches per kind of configuration."""


@dataclass(frozen=True)
class KindTiming:
    """Wall times of one kind of configuration.

    Attributes:
        kind: kind of configuration.
        n_atoms: atoms of each.
        timings: one per configuration.
    """

    kind: str
    n_atoms: int
    timings: list[Timing]

    @property
    def reference_seconds(self) -> float:
        """Median of the reference, s."""
        return float(np.median([timing.reference_seconds for timing in self.timings]))

    @property
    def model_seconds(self) -> float:
        """Median of the model, s."""
        return float(np.median([timing.model_seconds for timing in self.timings]))

    @property
    def ratio(self) -> str:
        """Reference over model, to two digits: the scatter of wall times allows no more."""
        ratio = self.reference_seconds / self.model_seconds
        return f"{ratio:.1f}" if ratio < 10 else f"{int(float(f'{ratio:.1e}')):,}"


def timings_by_kind(timings: list[Timing]) -> list[KindTiming]:
    """Group by kind of configuration and number of atoms, small ones first."""
    groups: dict[tuple[int, str], list[Timing]] = defaultdict(list)
    for timing in timings:
        groups[timing.n_atoms, timing.kind].append(timing)
    return [KindTiming(kind, n_atoms, groups[n_atoms, kind]) for n_atoms, kind in sorted(groups)]


@style.in_house_style
def draw_timing(timings: list[Timing], names: Names) -> Figure:
    """Seconds per configuration by kind, logarithmic; bars join the medians."""
    groups = timings_by_kind(timings)
    figure = style.new_figure(1.3 + ROW_HEIGHT * len(groups))
    axes = figure.subplots()
    for row, group in enumerate(groups):
        _draw_kind(axes, row, group)
    axes.set_yticks(
        range(len(groups)), [f"{group.kind}\n{group.n_atoms} atoms" for group in groups]
    )
    axes.set_ylim(len(groups) - 0.5, -0.65)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.set_xlabel("Wall time per configuration (s)")
    axes.grid(True, axis="x")
    shown = [
        Line2D([], [], marker="o", linestyle="", color=color, label=label)
        for color, label in ((style.MODEL, names.model), (style.REFERENCE, names.reference))
    ]
    figure.legend(handles=shown, loc="outside upper right", ncols=2, handletextpad=0.1)
    return figure


def _draw_kind(axes: Axes, row: int, group: KindTiming) -> None:
    ends = group.model_seconds, group.reference_seconds
    axes.plot(ends, (row, row), color="#cfcfcf", linewidth=6, zorder=1)
    reference = [timing.reference_seconds for timing in group.timings]
    model = [timing.model_seconds for timing in group.timings]
    for seconds, color in ((reference, style.REFERENCE), (model, style.MODEL)):
        axes.scatter(seconds, [row] * len(seconds), s=42, color=color, alpha=0.75, lw=0, zorder=2)
    axes.annotate(
        f"× {group.ratio}",
        (float(np.sqrt(ends[0] * ends[1])), row),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        va="bottom",
    )
