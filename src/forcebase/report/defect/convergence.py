"""How the defect's modes converge with the size of the supercell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.localisation import LocalisedMode
from forcebase.physics.mode_tracking import Tracked, track_modes
from forcebase.report import style
from forcebase.report.defect import panels
from forcebase.report.phonons import FrequencyUnit

Array = NDArray[np.float64]

AREA = 500.0
"""square points of a marker, for a mode that lives in the innermost shell only."""

LEGEND_WEIGHTS = (0.1, 0.2, 0.4)

LINE = 10.5
"""points between two lines of text, at the least."""

HEIGHT, WIDTH = 330.0, 450.0
"""points, about, of the panel."""

STEP = 16.0
"""points between markers that stand side by side, for their frequencies are too near."""

ABREAST = 4
"""Markers side by side, at most; then the next row begins."""

ROOM = 120.0
"""points right of the largest supercell, for the frequencies in numbers."""


@style.in_house_style
def draw_convergence(
    spectra: Sequence[DefectSpectra], unit: FrequencyUnit = FrequencyUnit.PER_CM
) -> Figure:
    """Frequencies of the localised modes by supercell, on the continuum of the perfect crystal.

    Levels that are the same mode by their shape near the defect are joined. The right panel
    is the largest cell's DOS in the innermost shell, with the perfect crystal's.

    Raises:
        InputError: no spectra.
    """
    if not spectra:
        raise InputError("There are no supercells to draw.")
    ordered = sorted(spectra, key=lambda one: len(one.atoms))
    figure = style.new_figure(6.2, 9.0)
    modes, local = figure.subplots(1, 2, sharey=True, width_ratios=(3.4, 1))
    ranges = [panels.frequency_range(one, unit) for one in ordered]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    modes.set_ylim(low, high)
    across = (len(ordered) - 0.5) / (WIDTH - ROOM)  # supercells per point
    modes.set_xlim(-0.5, -0.5 + across * WIDTH)
    _shade(modes, ordered[-1], unit)
    styles = style.kind_styles({m.character for one in ordered for m in one.localised})
    scale = unit.per_thz * HEIGHT / (high - low)  # points per THz
    asides = [
        {index: STEP * across * aside for index, aside in _asides(one, scale).items()}
        for one in ordered
    ]
    for track in track_modes(ordered):
        _draw_track(modes, track, asides, styles, unit)
    edge = len(ordered) - 0.5
    _name_levels(modes, ordered[-1], len(ordered) - 1, asides[-1], edge, styles, unit)
    modes.set_xticks(range(len(ordered)), [one.size.replace("x", "×") for one in ordered])
    modes.set_xlabel("Supercell")
    modes.set_ylabel(f"Frequency ({unit.symbol})")
    modes.set_title(f"Localised modes of {panels.defect_name(ordered[-1].name)}")
    style.zero_line(modes)
    _draw_local(local, ordered[-1], unit)
    panels.add_thz(local.secondary_yaxis, "right", unit)
    kinds, sizes = _handles(styles, ordered)
    figure.legend(handles=kinds, loc="outside lower left", ncols=2)
    figure.legend(handles=sizes, loc="outside lower right", ncols=2, labelspacing=0.8)
    return figure


def _shade(axes: Axes, spectra: DefectSpectra, unit: FrequencyUnit) -> None:
    """Grey where the perfect crystal has states, the darker the more."""
    states = spectra.perfect_dos.total
    grid = spectra.perfect_dos.frequencies * unit.per_thz
    shown = (grid >= axes.get_ylim()[0]) & (grid <= axes.get_ylim()[1])
    left, right = axes.get_xlim()
    axes.pcolormesh(
        [left, right],
        grid[shown],
        np.sqrt(np.column_stack([states, states])[shown] / states.max()),
        cmap="Greys",
        vmin=0.0,
        vmax=2.6,
        shading="gouraud",
        rasterized=True,
        zorder=-1,
    )


def _asides(spectra: DefectSpectra, scale: float) -> dict[int, float]:
    """Index of a level -> steps to the side, so that no marker hides another; `scale` pt/THz."""
    rows: list[list[LocalisedMode]] = []
    for level in spectra.localised:
        before = rows[-1][-1] if rows else None
        if before is not None:
            reach = (np.sqrt(marker_area(level)) + np.sqrt(marker_area(before))) / 2
            if scale * (level.frequency - before.frequency) < 0.8 * reach:
                rows[-1].append(level)
                continue
        rows.append([level])
    return {
        level.index: i % ABREAST - (min(len(row), ABREAST) - 1) / 2
        for row in rows
        for i, level in enumerate(row)
    }


def _draw_track(
    axes: Axes,
    track: Tracked,
    asides: Sequence[dict[int, float]],
    styles: dict[str, tuple[str, str]],
    unit: FrequencyUnit,
) -> None:
    places = [number + asides[number][level.index] for number, level in track.levels]
    frequencies = [level.frequency * unit.per_thz for _, level in track.levels]
    axes.plot(places, frequencies, color="#4d4d4d", linewidth=0.9, zorder=2)
    for place, frequency, (_, level) in zip(places, frequencies, track.levels, strict=True):
        color, marker = styles[level.character]
        axes.scatter(
            place,
            frequency,
            s=marker_area(level),
            color=color,
            marker=marker,
            edgecolor="white",
            linewidth=0.7,
            zorder=3,
        )


def marker_area(level: LocalisedMode) -> float:
    """Area of a level's marker, square points: in proportion to its innermost shell's weight."""
    return AREA * level.weights[0]


def _name_levels(
    axes: Axes,
    spectra: DefectSpectra,
    place: float,
    asides: dict[int, float],
    edge: float,
    styles: dict[str, tuple[str, str]],
    unit: FrequencyUnit,
) -> None:
    """Write a cell's frequencies from `edge` on, beside their markers, none on another."""
    low, high = axes.get_ylim()
    wanted = np.array([level.frequency * unit.per_thz for level in spectra.localised])
    heights = spread(wanted, LINE * (high - low) / HEIGHT)
    for level, frequency, height in zip(spectra.localised, wanted, heights, strict=True):
        times = f" ({level.degeneracy}-fold)" if level.degeneracy > 1 else ""
        axes.annotate(
            f"{frequency:.1f}{times}",
            (place + asides[level.index], frequency),
            xytext=(edge, height),
            va="center",
            fontsize=8.5,
            color=styles[level.character][0],
            arrowprops={"arrowstyle": "-", "color": "#8a8a8a", "linewidth": 0.6, "shrinkB": 6},
        )


def spread(places: Array, gap: float) -> Array:
    """Move rising `places` apart as little as needed for `gap` between neighbours."""
    groups: list[list[float]] = []  # (sum of places less their offsets, count)
    for place in places:
        groups.append([place, 1])
        while len(groups) > 1 and _end(groups[-2], gap) + gap > _start(groups[-1], gap):
            total, count = groups.pop()
            groups[-1] = [groups[-1][0] + total, groups[-1][1] + count]
    found = [_start(group, gap) + gap * i for group in groups for i in range(int(group[1]))]
    return np.array(found)


def _start(group: list[float], gap: float) -> float:
    return group[0] / group[1] - gap * (group[1] - 1) / 2


def _end(group: list[float], gap: float) -> float:
    return group[0] / group[1] + gap * (group[1] - 1) / 2


def _draw_local(axes: Axes, spectra: DefectSpectra, unit: FrequencyUnit) -> None:
    for dos, groups, line in (
        (spectra.dos, spectra.groups, panels.DEFECT_LINE),
        (spectra.perfect_dos, spectra.perfect_groups, panels.PRISTINE_LINE),
    ):
        inner = groups.shell == 0
        states = dos.of(inner) / max(1, inner.sum()) / unit.per_thz
        axes.plot(states, dos.frequencies * unit.per_thz, **line)
    axes.set_xlim(left=0.0)
    axes.set_title(f"Atoms {spectra.groups.shells.labels[0]}\n{panels.title(spectra)}")
    axes.set_xlabel(f"states per {unit.symbol}\nand atom")


def _handles(
    styles: dict[str, tuple[str, str]], ordered: Sequence[DefectSpectra]
) -> tuple[list[Line2D], list[Line2D]]:
    """What characters of modes look like; what sizes of markers and lines mean."""
    label = ordered[-1].groups.shells.labels[0]
    kinds = [
        Line2D([], [], color=color, marker=marker, linestyle="none", markersize=8, label=name)
        for name, (color, marker) in styles.items()
    ]
    dot: dict[str, Any] = {"color": style.FAINT, "marker": "o", "linestyle": "none"}
    sizes = [
        Line2D([], [], markersize=np.sqrt(AREA * w), label=f"{100 * w:.0f} % at {label}", **dot)
        for w in LEGEND_WEIGHTS
    ]
    lines = [
        Line2D([], [], **panels.DEFECT_LINE, label="DOS with the defect"),
        Line2D([], [], **panels.PRISTINE_LINE, label="pristine DOS"),
        Line2D([], [], color="#4d4d4d", linewidth=0.9, label="the same mode"),
    ]
    return kinds, [*sizes, *lines]
