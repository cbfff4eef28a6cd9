"""Local density of states by shell around the defect, species and direction."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.local_dos import DIRECTIONS, SiteDOS, SiteGroups
from forcebase.report import style
from forcebase.report.defect import panels
from forcebase.report.phonons import FrequencyUnit

Array = NDArray[np.float64]

SECOND_COLORS = (style.GREEN, style.PURPLE, style.SKY)
"""Of an element's further species, as of its atoms on the other side of a layer."""


@style.in_house_style
def draw_local_dos(
    spectra: DefectSpectra,
    reference: DefectSpectra | None = None,
    unit: FrequencyUnit = FrequencyUnit.PER_CM,
) -> Figure:
    """Local DOS, one row a shell, in-plane and out-of-plane, for one atom of each species.

    Args:
        spectra: of the defect cell; solid lines.
        reference: DFT's of the same cell, drawn as areas in place of the pristine crystal;
            None draws the pristine crystal as dashed lines.
        unit: of frequencies.
    """
    shells = spectra.groups.shells.labels
    figure = style.new_figure(1.1 + 2.1 * len(shells), 11.0)
    axes = figure.subplots(len(shells), 2, sharex=True, sharey="col", squeeze=False)
    colors = species_colors([spectra.groups, spectra.perfect_groups])
    for row, label in enumerate(shells):
        for panel, direction in zip(axes[row], DIRECTIONS, strict=True):
            if reference is not None:
                _fill(panel, reference.dos, reference.groups, row, direction, colors, unit)
            else:
                _draw_pristine(panel, spectra, row, direction, colors, unit)
            states = of_one_atom(spectra.dos, spectra.groups, row, direction)
            grid = spectra.dos.frequencies * unit.per_thz
            for name, values in states.items():
                panel.plot(grid, values / unit.per_thz, color=colors[name], linewidth=1.4)
        axes[row, 0].set_ylabel(f"{label}\n{_count(spectra.groups, row)}")
    _finish(figure, axes, spectra, reference, colors, unit)
    return figure


def of_one_atom(dos: SiteDOS, groups: SiteGroups, shell: int, direction: str) -> dict[str, Array]:
    """Species -> (n,) states per THz, the mean over its atoms in a shell; none where none are."""
    found = {}
    for name, mask in groups.by_species().items():
        here = mask & (groups.shell == shell)
        if here.any():
            found[name] = dos.of(here, direction) / here.sum()
    return found


def species_colors(groups: list[SiteGroups]) -> dict[str, str]:
    """Species -> colour: the element's own for its first species, others for the rest."""
    names = sorted({name for one in groups for name in one.by_species()})
    first = {name.split()[0]: name for name in reversed([*names, *_tops(names)])}
    others = iter(SECOND_COLORS * len(names))
    return {
        name: style.element_color(name.split()[0])
        if first[name.split()[0]] == name
        else next(others)
        for name in names
    }


def _tops(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(" top")]


def _draw_pristine(
    axes: Axes,
    spectra: DefectSpectra,
    shell: int,
    direction: str,
    colors: dict[str, str],
    unit: FrequencyUnit,
) -> None:
    states = of_one_atom(spectra.perfect_dos, spectra.perfect_groups, shell, direction)
    grid = spectra.perfect_dos.frequencies * unit.per_thz
    for i, (name, values) in enumerate(states.items()):
        axes.plot(
            grid,
            values / unit.per_thz,
            color=colors[name],
            linewidth=1.2,
            linestyle=panels.interleaved_dashes(i, len(states)),
            dash_capstyle="butt",
        )


def _fill(
    axes: Axes,
    dos: SiteDOS,
    groups: SiteGroups,
    shell: int,
    direction: str,
    colors: dict[str, str],
    unit: FrequencyUnit,
) -> None:
    for name, values in of_one_atom(dos, groups, shell, direction).items():
        axes.fill_between(
            dos.frequencies * unit.per_thz,
            values / unit.per_thz,
            color=colors[name],
            alpha=0.3,
            linewidth=0,
        )


def _finish(
    figure: Figure,
    axes: NDArray,
    spectra: DefectSpectra,
    reference: DefectSpectra | None,
    colors: dict[str, str],
    unit: FrequencyUnit,
) -> None:
    for column, direction in enumerate(DIRECTIONS):
        axes[0, column].set_title(f"{direction.capitalize()}, {panels.title(spectra)}")
        axes[-1, column].set_xlabel(f"Frequency ({unit.symbol})")
        panels.add_thz(axes[0, column].secondary_xaxis, "top", unit)
    both = [spectra] if reference is None else [spectra, reference]
    ranges = [panels.frequency_range(one, unit) for one in both]
    axes[0, 0].set_xlim(min(low for low, _ in ranges), max(high for _, high in ranges))
    for panel in axes.flat:
        panel.set_ylim(bottom=0.0)
        panel.axvline(0.0, color=style.FAINT, linewidth=0.8, zorder=0)
    figure.supylabel(f"Local DOS (states per {unit.symbol} and atom)", fontsize=10.5)
    figure.align_ylabels(axes[:, 0])
    figure.legend(handles=_handles(spectra, reference, colors), loc="outside lower center", ncols=8)


def _handles(
    spectra: DefectSpectra, reference: DefectSpectra | None, colors: dict[str, str]
) -> list[Line2D | Patch]:
    grey = style.FAINT
    name = panels.defect_name(spectra.name)
    ours = "MACE" if reference is not None else f"with {name}"
    theirs: Line2D | Patch = Line2D([], [], color=grey, linestyle=(0, (1.6, 1.2)), label="pristine")
    if reference is not None:
        theirs = Patch(color=grey, alpha=0.4, linewidth=0, label="DFT")
    species = [Patch(color=color, label=name) for name, color in colors.items()]
    return [*species, Line2D([], [], color=grey, label=ours), theirs]


def _count(groups: SiteGroups, shell: int) -> str:
    here = groups.shell == shell
    counts = [
        f"{int((mask & here).sum())} {name}"
        for name, mask in groups.by_species().items()
        if (mask & here).any()
    ]
    return ", ".join(counts) or "no atoms"
