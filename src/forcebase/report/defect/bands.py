"""Bands with and without the defect, and the densities of states beside them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.defect_spectra import DefectSpectra, LocalBands
from forcebase.report import style
from forcebase.report.defect import panels
from forcebase.report.phonons import FrequencyUnit

Array = NDArray[np.float64]


@style.in_house_style
def draw_bands_and_dos(
    spectra: DefectSpectra, unit: FrequencyUnit = FrequencyUnit.PER_CM
) -> Figure:
    """Bands of the perfect and of the defect supercell, DOS, PDOS and what the defect changes.

    The difference is against the perfect supercell's PDOS scaled to as many atoms of each
    element as the defect cell has, so that each element's integrates to zero.

    Raises:
        InputError: spectra without bands.
    """
    bands = require_bands(spectra)
    figure = style.new_figure(6.0, 12.0)
    axes = figure.subplots(1, 5, sharey=True, width_ratios=(2.2, 2.2, 1.1, 1.3, 1.3))
    pristine, defective, total, elements, change = axes
    panels.draw_branches(pristine, bands, bands.pristine, unit, style.REFERENCE)
    panels.draw_branches(defective, bands, bands.frequencies, unit, style.MODEL)
    pristine.set_title("Pristine, folded")
    defective.set_title(panels.title(spectra))
    _draw_total(total, spectra, unit)
    _draw_elements(elements, change, spectra, unit)
    for panel in axes:
        style.zero_line(panel)
    pristine.set_ylim(*panels.frequency_range(spectra, unit))
    pristine.set_ylabel(f"Frequency ({unit.symbol})")
    panels.add_thz(change.secondary_yaxis, "right", unit)
    figure.legend(
        handles=_lines(spectra),
        loc="outside lower center",
        ncols=8,
        title=panels.broadening(spectra, unit),
        title_fontsize=9.0,
    )
    return figure


@style.in_house_style
def draw_bands_beside(
    spectra: DefectSpectra,
    reference: DefectSpectra,
    unit: FrequencyUnit = FrequencyUnit.PER_CM,
) -> Figure:
    """Bands of one defect cell by DFT and by the model, side by side, overlaid, and the DOS.

    Raises:
        InputError: either without bands.
    """
    theirs, ours = require_bands(reference), require_bands(spectra)
    figure = style.new_figure(5.4, 12.0)
    axes = figure.subplots(1, 4, sharey=True, width_ratios=(2, 2, 2, 1.2))
    left, middle, overlay, dos = axes
    for panel in (left, overlay):
        panels.draw_branches(panel, theirs, theirs.frequencies, unit, style.REFERENCE)
    for panel in (middle, overlay):
        panels.draw_branches(panel, ours, ours.frequencies, unit, style.MODEL)
    states = reference.dos.total / unit.per_thz
    grid = reference.dos.frequencies * unit.per_thz
    dos.fill_betweenx(grid, states, color=style.REFERENCE, alpha=0.25, linewidth=0)
    dos.plot(
        spectra.dos.total / unit.per_thz,
        spectra.dos.frequencies * unit.per_thz,
        **panels.DEFECT_LINE,
    )
    mae = np.abs(spectra.gamma.frequencies - reference.gamma.frequencies).mean() * unit.per_thz
    titles = ("DFT", "MACE", f"Overlay, MAE at Γ {mae:.2g} {unit.symbol}", "DOS")
    for panel, text in zip(axes, titles, strict=True):
        panel.set_title(text)
        style.zero_line(panel)
    dos.set_xlim(left=0.0)
    dos.set_xlabel(f"states per {unit.symbol}\nand supercell")
    ranges = [panels.frequency_range(one, unit) for one in (spectra, reference)]
    left.set_ylim(min(low for low, _ in ranges), max(high for _, high in ranges))
    left.set_ylabel(f"Frequency ({unit.symbol}), {panels.title(spectra)}")
    panels.add_thz(dos.secondary_yaxis, "right", unit)
    return figure


def require_bands(spectra: DefectSpectra) -> LocalBands:
    """Give the bands.

    Raises:
        InputError: there are none.
    """
    if spectra.bands is None:
        raise InputError(
            f"The spectra of {spectra.name} in {spectra.size} hold no bands.",
            hint="Compute them with a number of q-points `n_path`.",
        )
    return spectra.bands


def element_masks(symbols: NDArray[np.str_]) -> dict[str, NDArray[np.bool_]]:
    """Element -> mask of its sites, by rising order of the alphabet."""
    return {str(symbol): symbols == symbol for symbol in np.unique(symbols)}


def changes(spectra: DefectSpectra) -> dict[str, Array]:
    """Element -> (n,) states per THz and supercell that the defect adds or takes.

    The perfect supercell counts with as many atoms of each element as the defect cell has.
    """
    perfect = element_masks(spectra.perfect_groups.symbols)
    found = {}
    for symbol, mask in element_masks(spectra.groups.symbols).items():
        states = spectra.dos.of(mask)
        if symbol in perfect:
            kept = mask.sum() / perfect[symbol].sum()
            states = states - kept * spectra.perfect_dos.of(perfect[symbol])
        found[symbol] = states
    return found


def _draw_total(axes: Axes, spectra: DefectSpectra, unit: FrequencyUnit) -> None:
    grid = spectra.dos.frequencies * unit.per_thz
    axes.plot(spectra.dos.total / unit.per_thz, grid, **panels.DEFECT_LINE)
    axes.plot(spectra.perfect_dos.total / unit.per_thz, grid, **panels.PRISTINE_LINE)
    axes.set_xlim(left=0.0)
    axes.set_title("DOS")
    axes.set_xlabel(f"states per {unit.symbol}\nand supercell")


def _draw_elements(
    overlay: Axes, change: Axes, spectra: DefectSpectra, unit: FrequencyUnit
) -> None:
    grid = spectra.dos.frequencies * unit.per_thz
    perfect = element_masks(spectra.perfect_groups.symbols)
    for symbol, difference in changes(spectra).items():
        color = style.element_color(symbol)
        states = spectra.dos.of(spectra.groups.symbols == symbol) / unit.per_thz
        overlay.plot(states, grid, color=color, linewidth=1.3)
        if symbol in perfect:
            before = spectra.perfect_dos.of(perfect[symbol]) / unit.per_thz
            overlay.plot(before, grid, color=color, linewidth=1.0, linestyle=(0, (3.2, 1.8)))
        change.plot(difference / unit.per_thz, grid, color=color, linewidth=1.2)
        change.fill_betweenx(grid, difference / unit.per_thz, color=color, alpha=0.15, linewidth=0)
    overlay.set_xlim(left=0.0)
    overlay.set_title("PDOS")
    overlay.set_xlabel(f"states per {unit.symbol}\nand supercell")
    change.axvline(0.0, color=style.FAINT, linewidth=0.8, zorder=0)
    change.set_title("Defect − pristine")
    change.set_xlabel(f"states per {unit.symbol},\nat equal numbers of atoms")


def _lines(spectra: DefectSpectra) -> list[Line2D]:
    elements = [
        Line2D([], [], color=style.element_color(symbol), label=symbol)
        for symbol in element_masks(spectra.groups.symbols)
    ]
    return [
        Line2D([], [], **panels.DEFECT_LINE, label=f"with {panels.defect_name(spectra.name)}"),
        Line2D([], [], **panels.PRISTINE_LINE, label="pristine"),
        *elements,
    ]
