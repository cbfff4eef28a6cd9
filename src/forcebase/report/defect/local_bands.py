"""Bands coloured by how much of each state is near the defect."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from forcebase.physics.defect_spectra import DefectSpectra, LocalBands
from forcebase.physics.local_dos import SiteDOS, SiteGroups
from forcebase.report import style
from forcebase.report.defect import panels
from forcebase.report.defect.bands import require_bands
from forcebase.report.phonons import FrequencyUnit

Array = NDArray[np.float64]

WEIGHTS = LinearSegmentedColormap.from_list(
    "weight", ["#dcdcdc", "#f3b35c", "#e4693f", "#b5325d", "#6a1b6a", "#20093a"]
)
"""Light grey to dark violet; lightness falls evenly, so that it also reads in grey."""

STRONG = 1.2
"""points, of the strongest line beyond the faintest."""


@style.in_house_style
def draw_local_bands(
    spectra: DefectSpectra, shell: int = 0, unit: FrequencyUnit = FrequencyUnit.PER_CM
) -> Figure:
    """Bands coloured by their weight in one shell, beside the total and that shell's DOS.

    Raises:
        InputError: spectra without bands.
    """
    bands = require_bands(spectra)
    label = spectra.groups.shells.labels[shell]
    figure = style.new_figure(6.0, 10.0)
    axes = figure.subplots(1, 3, sharey=True, width_ratios=(3.4, 1.1, 1.1))
    lines = draw_weighted(axes[0], bands, bands.weights[:, :, shell], unit)
    _draw_dos(axes[1], spectra, None, unit)
    _draw_dos(axes[2], spectra, shell, unit)
    axes[0].set_title(panels.title(spectra))
    axes[1].set_title("All atoms")
    axes[2].set_title(f"Atoms at {label}")
    for panel in axes:
        style.zero_line(panel)
    axes[0].set_ylim(*panels.frequency_range(spectra, unit))
    axes[0].set_ylabel(f"Frequency ({unit.symbol})")
    panels.add_thz(axes[2].secondary_yaxis, "right", unit)
    bar = figure.colorbar(lines, ax=axes, location="bottom", aspect=55, pad=0.02, shrink=0.62)
    bar.set_label(f"Share of the state on atoms {label} from the defect")
    bar.outline.set_visible(False)
    figure.legend(
        handles=[
            Line2D([], [], **panels.DEFECT_LINE, label=f"with {panels.defect_name(spectra.name)}"),
            Line2D([], [], **panels.PRISTINE_LINE, label="pristine"),
        ],
        loc="outside upper right",
        ncols=2,
    )
    return figure


def draw_weighted(
    axes: Axes, bands: LocalBands, weights: Array, unit: FrequencyUnit
) -> LineCollection:
    """Draw bands as short lines coloured by `weights` (n_q, n_modes), the strongest on top."""
    pieces, strengths = [], []
    for start, stop in bands.path.segments:
        distances = np.broadcast_to(
            bands.path.distances[start:stop, None], bands.frequencies[start:stop].shape
        )
        points = np.stack([distances, bands.frequencies[start:stop] * unit.per_thz], axis=-1)
        pieces.append(np.stack([points[:-1], points[1:]], axis=2).reshape(-1, 2, 2))
        strengths.append(((weights[start : stop - 1] + weights[start + 1 : stop]) / 2).ravel())
    strength = np.concatenate(strengths)
    order = np.argsort(strength)
    top = float(strength[order[-1]]) or 1.0
    width = panels.branch_width(bands.frequencies.shape[1])
    lines = LineCollection(
        list(np.concatenate(pieces)[order]),
        cmap=WEIGHTS,
        norm=Normalize(0.0, top),
        linewidths=width + STRONG * strength[order] / top,
        rasterized=True,
    )
    lines.set_array(strength[order])
    axes.add_collection(lines)
    panels.mark_path(axes, bands)
    return lines


def _draw_dos(axes: Axes, spectra: DefectSpectra, shell: int | None, unit: FrequencyUnit) -> None:
    for dos, groups, line in (
        (spectra.dos, spectra.groups, panels.DEFECT_LINE),
        (spectra.perfect_dos, spectra.perfect_groups, panels.PRISTINE_LINE),
    ):
        axes.plot(_mean(dos, groups, shell) / unit.per_thz, dos.frequencies * unit.per_thz, **line)
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"states per {unit.symbol}\nand atom")


def _mean(dos: SiteDOS, groups: SiteGroups, shell: int | None) -> Array:
    """(n,) states per THz of one atom, the mean over a shell or over all atoms."""
    chosen = np.ones(len(groups.shell), bool) if shell is None else groups.shell == shell
    return dos.of(chosen) / max(1, chosen.sum())
