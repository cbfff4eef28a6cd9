"""Phonon figures: of one phonon, or of two side by side, overlaid and subtracted."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from forcebase.physics.band_path import BandPath
from forcebase.physics.vibrations import Bands, DensityOfStates, ThermalProperties
from forcebase.report import style
from forcebase.report.content import BandsData, DosData, Names
from forcebase.safety.text import figure_text
from forcebase.units import THZ_TO_CM1, THZ_TO_MEV

Array = NDArray[np.float64]
OWN_WIDTH = 6.4
"""inches; of a figure of one phonon."""
FEW_TEMPERATURES = 12
"""Up to so many are marked."""
ROUNDING = 0.01
"""Of the highest frequency; an imaginary mode below it does not lower the axis."""


class FrequencyUnit(Enum):
    """What frequencies are drawn in: (name on the axis, of one THz)."""

    PER_CM = ("cm⁻¹", THZ_TO_CM1)
    THZ = ("THz", 1.0)
    MEV = ("meV", THZ_TO_MEV)

    @property
    def symbol(self) -> str:
        """As written on an axis."""
        return self.value[0]

    @property
    def per_thz(self) -> float:
        """How many of this unit are one THz."""
        return self.value[1]


@style.in_house_style
def draw_own_bands(
    bands: Bands, name: str, color: str, unit: FrequencyUnit = FrequencyUnit.THZ
) -> Figure:
    """Bands of one phonon; `name` is the heading."""
    figure = style.new_figure(4.2, OWN_WIDTH)
    axes = figure.subplots()
    frequencies = bands.frequencies * unit.per_thz
    _draw_branches(axes, bands.path, frequencies, color, "-")
    style.zero_line(axes)
    low, high = frequencies.min(), frequencies.max()
    axes.set_ylim(_floor(low, high), high * 1.05)
    axes.set_ylabel(f"Frequency ({unit.symbol})")
    axes.set_title(figure_text(name), loc="left")
    return figure


@style.in_house_style
def draw_own_dos(
    dos: DensityOfStates, name: str, unit: FrequencyUnit = FrequencyUnit.THZ
) -> Figure:
    """Density of states of one phonon, and of each element's atoms."""
    figure = style.new_figure(3.6, OWN_WIDTH)
    axes = figure.subplots()
    frequencies = dos.frequencies * unit.per_thz
    total = dos.total / unit.per_thz
    axes.fill_between(frequencies, total, color=style.FAINT, alpha=0.25, lw=0, label="total")
    if len(dos.projected) > 1:
        for symbol, states in dos.projected.items():
            color = style.element_color(symbol)
            axes.plot(frequencies, states / unit.per_thz, color=color, label=symbol)
        axes.legend(loc="upper left")
    else:
        axes.plot(frequencies, total, color=style.element_color(*dos.projected))
    axes.set_xlim(frequencies[0], frequencies[-1])
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(f"Frequency ({unit.symbol})")
    axes.set_ylabel(f"States per {unit.symbol} and cell")
    axes.set_title(figure_text(name), loc="left")
    return figure


@style.in_house_style
def draw_thermal(thermal: ThermalProperties, name: str) -> Figure:
    """Free energy, entropy and heat capacity against temperature."""
    figure = style.new_figure(3.4)
    quantities = (
        (thermal.free_energy, "Free energy (eV per cell)", style.BLUE),
        (thermal.entropy, "Entropy (J/K/mol)", style.GREEN),
        (thermal.heat_capacity, "Heat capacity (J/K/mol)", style.VERMILLION),
    )
    marker = "o" if len(thermal.temperatures) <= FEW_TEMPERATURES else ""
    for axes, (values, label, color) in zip(figure.subplots(1, 3), quantities, strict=True):
        axes.plot(thermal.temperatures, values, color=color, marker=marker, markersize=4)
        axes.set(xlabel="Temperature (K)", ylabel=label)
        axes.grid(True)
    figure.suptitle(figure_text(name), x=0.01, ha="left", fontsize=11)
    return figure


@style.in_house_style
def draw_bands(
    bands: BandsData, dos: DosData, names: Names, unit: FrequencyUnit = FrequencyUnit.PER_CM
) -> Figure:
    """Bands of reference and model side by side, then overlaid, the DOS of both at the right."""
    figure = style.new_figure(4.6, 11.0)
    panels = figure.subplots(1, 4, sharey=True, width_ratios=(3, 3, 3, 1.5))
    reference_panel, model_panel, overlay, dos_panel = panels
    reference = bands.frequencies_reference * unit.per_thz
    model = bands.frequencies_model * unit.per_thz
    _draw_branches(reference_panel, bands, reference, style.REFERENCE, "-")
    _draw_branches(model_panel, bands, model, style.MODEL, "-")
    _draw_branches(overlay, bands, reference, style.REFERENCE, "-")
    _draw_branches(overlay, bands, model, style.MODEL, "--")
    mae = float(np.abs(model - reference).mean())
    titles = (names.reference, names.model, f"Overlay, MAE {mae:.2f} {unit.symbol}", "DOS")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title)
        style.zero_line(axes)
    _draw_dos(dos_panel, dos, unit)
    shown = [
        Line2D([], [], color=color, linestyle=line, label=label)
        for color, line, label in (
            (style.REFERENCE, "-", names.reference),
            (style.MODEL, "--", names.model),
        )
    ]
    figure.legend(handles=shown, loc="outside lower center", ncols=2)
    reference_panel.set_ylabel(f"Frequency ({unit.symbol})")
    low, high = min(reference.min(), model.min()), max(reference.max(), model.max())
    reference_panel.set_ylim(min(0.0, low * 1.05), high * 1.05)
    _add_thz(dos_panel.secondary_yaxis, "right", unit)
    return figure


@style.in_house_style
def draw_pdos(dos: DosData, names: Names, unit: FrequencyUnit = FrequencyUnit.PER_CM) -> Figure:
    """Element-projected DOS of both, and below it the model's minus the reference's."""
    figure = style.new_figure(5.6)
    overlay, difference = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    frequencies = dos.frequencies * unit.per_thz
    for symbol, states in dos.reference_projected.items():
        color = style.element_color(symbol)
        reference = states / unit.per_thz
        model = dos.model_projected[symbol] / unit.per_thz
        overlay.fill_between(
            frequencies,
            reference,
            color=color,
            alpha=0.3,
            linewidth=0,
            label=f"{symbol}, {names.reference}",
        )
        overlay.plot(frequencies, model, color=color, label=f"{symbol}, {names.model}")
        difference.plot(frequencies, model - reference, color=color, label=symbol)
        difference.fill_between(frequencies, model - reference, color=color, alpha=0.15, lw=0)
    style.zero_line(difference)
    overlay.legend(loc="upper left", ncols=len(dos.reference_projected))
    overlay.set_ylabel(f"PDOS (states per {unit.symbol} and cell)")
    difference.set_ylabel(f"{names.difference}\n(same unit)")
    difference.set_xlabel(f"Frequency ({unit.symbol})")
    overlay.set_ylim(bottom=0.0)
    difference.set_xlim(frequencies[0], frequencies[-1])
    _add_thz(overlay.secondary_xaxis, "top", unit)
    figure.align_ylabels([overlay, difference])
    return figure


def _floor(low: float, high: float) -> float:
    """Of the axis: 0 where all is real, but for the rounding of acoustic modes at Gamma."""
    return 0.0 if low > -ROUNDING * high else low * 1.05


def _draw_branches(
    axes: Axes, bands: BandsData | BandPath, frequencies: Array, color: str, line: str
) -> None:
    for start, stop in bands.segments:
        some = slice(start, stop)
        axes.plot(bands.distances[some], frequencies[some], color=color, linestyle=line, lw=1.2)
    style.mark_path(axes, bands.ticks)
    axes.set_xlim(bands.distances[0], bands.distances[-1])


def _draw_dos(axes: Axes, dos: DosData, unit: FrequencyUnit) -> None:
    frequencies = dos.frequencies * unit.per_thz
    axes.fill_betweenx(
        frequencies, dos.reference_total / unit.per_thz, color=style.REFERENCE, alpha=0.22, lw=0
    )
    axes.plot(dos.model_total / unit.per_thz, frequencies, color=style.MODEL, linewidth=1.2)
    axes.set_xlim(left=0.0)
    axes.set_xlabel(f"states per {unit.symbol}")


def _add_thz(add_axis: Callable[..., Axes], side: str, unit: FrequencyUnit) -> None:
    """Give the frequencies in THz too, on the axis opposite."""
    if unit is FrequencyUnit.THZ:
        return
    axis = add_axis(side, functions=(lambda f: f / unit.per_thz, lambda f: f * unit.per_thz))
    axis.set(**{"xlabel" if side == "top" else "ylabel": "Frequency (THz)"})
