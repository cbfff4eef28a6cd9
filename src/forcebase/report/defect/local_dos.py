"""Local density of states by shell around the defect, species and direction."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
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

    Shells without atoms are left out.

    Args:
        spectra: of the defect cell; solid lines.
        reference: DFT's of the same cell, drawn as areas in place of the pristine crystal;
            None draws the pristine crystal as dashed lines.
        unit: of frequencies.
    """
    rows = [
        shell
        for shell in range(len(spectra.groups.shells))
        if np.any(spectra.groups.shell == shell) or np.any(spectra.perfect_groups.shell == shell)
    ]
    figure = style.new_figure(1.1 + 2.1 * len(rows), 11.0)
    axes = figure.subplots(len(rows), 2, sharex=True, sharey="col", squeeze=False)
    colors = species_colors([spectra.groups, spectra.perfect_groups])
    grid = spectra.dos.frequencies * unit.per_thz
    for row, shell in enumerate(rows):
        for panel, direction in zip(axes[row], DIRECTIONS, strict=True):
            if reference is not None:
                _fill(panel, reference.dos, reference.groups, shell, direction, colors, unit)
            else:
                _draw_pristine(panel, spectra, shell, direction, colors, unit)
            states = of_one_atom(spectra.dos, spectra.groups, shell, direction)
            for name, values in states.items():
                panel.plot(grid, values / unit.per_thz, color=colors[name], linewidth=1.4)
        _name_row(axes[row, 1], spectra, shell)
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
    """Species -> colour: the element's own for its last one ("Se top"), others for the rest."""
    names = sorted({name for one in groups for name in one.by_species()})
    main = {name.split()[0]: name for name in names}
    others = iter(SECOND_COLORS * len(names))
    return {
        name: style.element_color(name.split()[0]) if name in main.values() else next(others)
        for name in names
    }


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
            color=_darker(colors[name]),
            linewidth=1.1,
            zorder=3,
            linestyle=panels.interleaved_dashes(i, len(states)),
            dash_capstyle="butt",
        )


def _darker(color: str) -> tuple[float, ...]:
    """A shade that shows on the colour itself, where two curves coincide."""
    return tuple(0.5 * part for part in to_rgb(color))


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
    figure.legend(
        handles=_handles(spectra, reference, colors),
        loc="outside lower center",
        ncols=8,
        title=panels.broadening(spectra, unit),
        title_fontsize=9.0,
    )


def _handles(
    spectra: DefectSpectra, reference: DefectSpectra | None, colors: dict[str, str]
) -> list[Line2D | Patch]:
    grey = style.FAINT
    name = panels.defect_name(spectra.name)
    ours = "MACE" if reference is not None else f"with {name}"
    theirs: Line2D | Patch = Line2D([], [], color=grey, linestyle=(0, (1.6, 1.2)), label="pristine")
    if reference is not None:
        theirs = Patch(color=grey, alpha=0.4, linewidth=0, label="DFT")
    species = [Patch(color=color, label=name) for name, color in reversed(colors.items())]
    return [*species, Line2D([], [], color=grey, label=ours), theirs]


def _name_row(axes: Axes, spectra: DefectSpectra, shell: int) -> None:
    """Say right of a row which atoms it is of."""
    text = f"{spectra.groups.shells.labels[shell]} from\nthe defect:\n{_count(spectra, shell)}"
    axes.text(1.02, 0.5, text, transform=axes.transAxes, va="center")


def _count(spectra: DefectSpectra, shell: int) -> str:
    """Numbers of atoms by species, with the pristine crystal's where it has others."""
    lines = []
    before, now = spectra.perfect_groups, spectra.groups
    for name in sorted({*before.by_species(), *now.by_species()}, reverse=True):
        counts = [
            int(((one.species() == name) & (one.shell == shell)).sum()) for one in (now, before)
        ]
        if any(counts):
            pristine = f" ({counts[1]} pristine)" if counts[0] != counts[1] else ""
            lines.append(f"{counts[0]} {name}{pristine}")
    return "\n".join(lines) or "no atoms"
