"""Panels that share a frequency axis: bands along a path and densities of states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from forcebase.physics.defect_spectra import DefectSpectra, LocalBands
from forcebase.report import style
from forcebase.report.phonons import FrequencyUnit
from forcebase.safety.text import figure_text

Array = NDArray[np.float64]

DEFECT_LINE: dict[str, Any] = {"color": style.MODEL, "linewidth": 1.3}
PRISTINE_LINE: dict[str, Any] = {
    "color": style.REFERENCE,
    "linewidth": 1.0,
    "linestyle": (0, (3.2, 1.8)),
}

DASH = 2.6
"""points; of the dashes of curves that may lie on one another, each in the others' gaps."""

MARGIN = 0.03
"""Of the range of frequencies, left free above and below."""


def interleaved_dashes(index: int, count: int) -> tuple[float, tuple[float, float]]:
    """Line style `index` of `count` whose dashes show side by side where the curves coincide."""
    period = DASH * max(2, count)
    return (DASH * index, (DASH, period - DASH))


def frequency_range(spectra: DefectSpectra, unit: FrequencyUnit) -> tuple[float, float]:
    """Lowest and highest value of a frequency axis; below zero only for imaginary modes."""
    low = min(0.0, float(spectra.gamma.frequencies[0]))
    high = max(float(spectra.gamma.frequencies[-1]), occupied_top(spectra))
    if spectra.bands is not None:
        low = min(low, float(spectra.bands.frequencies.min()))
        high = max(high, float(spectra.bands.frequencies.max()))
    room = MARGIN * (high - low)
    rounding = -1e-2  # THz, of acoustic modes
    return (low - room if low < rounding else 0.0) * unit.per_thz, (high + room) * unit.per_thz


def occupied_top(spectra: DefectSpectra) -> float:
    """Frequency, THz, above which there are no more states with or without the defect."""
    states = spectra.dos.total + spectra.perfect_dos.total
    shown = np.flatnonzero(states > 1e-3 * states.max())
    return float(spectra.dos.frequencies[shown[-1]])


def draw_branches(
    axes: Axes, bands: LocalBands, frequencies: Array, unit: FrequencyUnit, color: str
) -> None:
    """Draw bands (n_q, n_modes) THz as lines, the thinner the more there are."""
    lines = [
        np.column_stack([bands.path.distances[start:stop], branch])
        for start, stop in bands.path.segments
        for branch in (frequencies[start:stop] * unit.per_thz).T
    ]
    width = branch_width(frequencies.shape[1])
    axes.add_collection(
        LineCollection(lines, colors=color, linewidths=width, rasterized=True, zorder=1.5)
    )
    mark_path(axes, bands)


def branch_width(n_modes: int) -> float:
    """Width of one of `n_modes` bands, points; wide enough to print."""
    return float(np.clip(8.0 / np.sqrt(n_modes), 0.22, 1.1))


def mark_path(axes: Axes, bands: LocalBands) -> None:
    """Name the special points; labels of one place are written as one."""
    style.mark_path(axes, bands.path.ticks)
    axes.set_xlim(bands.path.distances[0], bands.path.distances[-1])


def add_thz(add_axis: Callable[..., Axes], side: str, unit: FrequencyUnit) -> None:
    """Give the frequencies in THz too, on the axis opposite."""
    if unit is FrequencyUnit.THZ:
        return
    axis = add_axis(side, functions=(lambda f: f / unit.per_thz, lambda f: f * unit.per_thz))
    axis.set(**{"xlabel" if side == "top" else "ylabel": "Frequency (THz)"})


def broadening(spectra: DefectSpectra, unit: FrequencyUnit) -> str:
    """How the densities of states were made, for a caption."""
    mesh = "×".join(str(n) for n in spectra.mesh)
    return f"Gaussians of σ = {spectra.sigma * unit.per_thz:.2g} {unit.symbol}, {mesh} q-points"


def title(spectra: DefectSpectra) -> str:
    """Name and size of a supercell, as "vSe in 12×12"."""
    return f"{defect_name(spectra.name)} in {spectra.size.replace('x', '×')}"


def defect_name(name: str) -> str:
    """A name as "v_Se" with its subscript set low; other names as they are."""
    head, _, site = name.partition("_")
    if head and site and head.isalnum() and site.isalnum():
        return f"{head}$_{{\\mathrm{{{site}}}}}$"
    return figure_text(name)
