"""Parity plots and histograms of errors: energies and forces of the model and the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from forcebase.report import style
from forcebase.report.content import Names, ParityData
from forcebase.safety.text import figure_text

Array = NDArray[np.float64]

PARITY_SIZE = (5.4, 6.4)
"""inches, width and height."""
MOST_BINS = 81
"""Of a histogram; an odd number puts zero between two of them."""


@style.in_house_style
def draw_parity(parity: ParityData, names: Names) -> Figure:
    """Energies at the left and forces at the right, residuals below each."""
    width, height = PARITY_SIZE
    figure = style.new_figure(height, 2 * width)
    left, right = figure.subfigures(1, 2)  # type: ignore[misc]
    _energy_parity(left, parity, names)
    _force_parity(right, parity, names)
    return figure


@style.in_house_style
def draw_error_histograms(parity: ParityData, names: Names) -> Figure:
    """How many energies and force components are off by how much; forces by element."""
    figure = style.new_figure(3.6)
    energy, forces = figure.subplots(1, 2)
    off = 1e3 * (parity.energies_model - parity.energies_reference)
    _draw_histogram(energy, {"": (off, style.BLUE)})
    energy.set_xlabel(f"{figure_text(names.difference)}, energy (meV/atom)")
    energy.set_ylabel("Structures")
    components = 1e3 * (parity.forces_model - parity.forces_reference)
    parts = {
        symbol: (components[parity.symbols == symbol].ravel(), style.element_color(symbol))
        for symbol in _by_abundance(parity.symbols)
    }
    _draw_histogram(forces, parts)
    forces.set_xlabel(f"{figure_text(names.difference)}, force component (meV/Å)")
    forces.set_ylabel("Force components")
    if len(parts) > 1:
        forces.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
    style.note(energy, _errors_text(off, "meV/atom"))
    style.note(forces, _errors_text(components, "meV/Å"))
    return figure


def _draw_histogram(axes: Axes, parts: dict[str, tuple[Array, str]]) -> None:
    """One histogram a part, on common bins around zero."""
    every = np.concatenate([values for values, _ in parts.values()])
    reach = 1.05 * float(np.abs(every).max()) or 1.0
    bins = np.linspace(-reach, reach, min(MOST_BINS, 2 * int(np.sqrt(len(every))) + 3)).tolist()
    for label, (values, color) in parts.items():
        axes.hist(values, bins, color=color, alpha=0.3)
        axes.hist(values, bins, color=color, histtype="step", linewidth=1.2, label=label)
    axes.axvline(0.0, color=style.FAINT, linewidth=0.8)
    axes.set_xlim(-reach, reach)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # for the note


@style.in_house_style
def draw_energy_parity(parity: ParityData, names: Names) -> Figure:
    """Energies per atom of the test split by kind of configuration, residuals below."""
    width, height = PARITY_SIZE
    figure = style.new_figure(height, width)
    _energy_parity(figure, parity, names)
    return figure


def _energy_parity(figure: FigureBase, parity: ParityData, names: Names) -> None:
    main, residual = _panels(figure)
    reference, model = parity.energies_reference, parity.energies_model
    errors = 1e3 * (model - reference)
    for kind, (color, marker) in style.kind_styles(parity.kinds.tolist()).items():
        chosen = parity.kinds == kind
        look: dict[str, Any] = {
            "color": color,
            "marker": marker,
            "s": 34,
            "linewidths": 0.6,
            "edgecolors": "white",
        }
        main.scatter(reference[chosen], model[chosen], label=figure_text(kind), **look)
        residual.scatter(reference[chosen], errors[chosen], **look)
    _finish(main, residual, reference, model, errors)
    style.note(main, _errors_text(errors, "meV/atom"))
    if parity.kinds.any():  # those that nobody gave a kind have none to be told apart by
        main.legend(loc="lower right", handletextpad=0.2, borderaxespad=0.2)
    main.set_ylabel(f"{names.model} energy (eV/atom)")
    residual.set_ylabel(f"{names.difference}\n(meV/atom)")
    residual.set_xlabel(f"{names.reference} energy (eV/atom)")


@style.in_house_style
def draw_force_parity(parity: ParityData, names: Names) -> Figure:
    """Force components of the test split by element, residuals below."""
    width, height = PARITY_SIZE
    figure = style.new_figure(height, width)
    _force_parity(figure, parity, names)
    return figure


def _force_parity(figure: FigureBase, parity: ParityData, names: Names) -> None:
    main, residual = _panels(figure)
    reference, model = parity.forces_reference, parity.forces_model
    errors = 1e3 * (model - reference)
    for symbol in _by_abundance(parity.symbols):
        chosen = parity.symbols == symbol
        label = f"{symbol}: {_errors_text(errors[chosen], 'meV/Å', separator=', ')}"
        look: dict[str, Any] = {
            "color": style.element_color(symbol),
            "s": 13,
            "alpha": 0.65,
            "linewidths": 0,
        }
        main.scatter(reference[chosen].ravel(), model[chosen].ravel(), label=label, **look)
        residual.scatter(reference[chosen].ravel(), errors[chosen].ravel(), **look)
    _finish(main, residual, reference.ravel(), model.ravel(), errors.ravel())
    style.note(main, _errors_text(errors, "meV/Å"))
    main.legend(loc="lower right", handletextpad=0.2, borderaxespad=0.2, markerscale=1.8)
    main.set_ylabel(f"{names.model} force component (eV/Å)")
    residual.set_ylabel(f"{names.difference}\n(meV/Å)")
    residual.set_xlabel(f"{names.reference} force component (eV/Å)")


def _panels(figure: FigureBase) -> tuple[Axes, Axes]:
    main, residual = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    figure.align_ylabels([main, residual])
    return main, residual


def _finish(main: Axes, residual: Axes, reference: Array, model: Array, errors: Array) -> None:
    low, high = min(reference.min(), model.min()), max(reference.max(), model.max())
    margin = 0.05 * (high - low) or 0.05
    limits = (low - margin, high + margin)
    main.plot(limits, limits, color=style.FAINT, linewidth=0.8, zorder=0)
    main.set(xlim=limits, ylim=limits)
    reach = 1.25 * float(np.abs(errors).max()) or 1.0
    residual.set_ylim(-reach, reach)
    style.zero_line(residual)
    for axes in (main, residual):
        axes.grid(True)


def _by_abundance(symbols: NDArray[np.str_]) -> list[str]:
    """Most frequent first, so that the rare element is not drawn over."""
    found, counts = np.unique(symbols, return_counts=True)
    return [str(symbol) for symbol in found[np.argsort(-counts, kind="stable")]]


def _errors_text(errors: Array, unit: str, separator: str = "\n") -> str:
    mae, rmse = np.abs(errors).mean(), np.sqrt((errors**2).mean())
    return f"MAE {mae:.1f} {unit}{separator}RMSE {rmse:.1f} {unit}"
