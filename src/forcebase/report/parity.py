"""Parity plots: the model's energies and forces against the reference's."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from forcebase.report import style
from forcebase.report.content import Names, ParityData
from forcebase.safety.text import figure_text

Array = NDArray[np.float64]

PARITY_SIZE = (5.4, 6.4)
"""inches, width and height."""


@style.in_house_style
def draw_energy_parity(parity: ParityData, names: Names) -> Figure:
    """Energies per atom of the test split by kind of configuration, residuals below."""
    figure, main, residual = _panels()
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
    main.legend(loc="lower right", handletextpad=0.2, borderaxespad=0.2)
    main.set_ylabel(f"{names.model} energy (eV/atom)")
    residual.set_ylabel(f"{names.difference}\n(meV/atom)")
    residual.set_xlabel(f"{names.reference} energy (eV/atom)")
    return figure


@style.in_house_style
def draw_force_parity(parity: ParityData, names: Names) -> Figure:
    """Force components of the test split by element, residuals below."""
    figure, main, residual = _panels()
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
    return figure


def _panels() -> tuple[Figure, Axes, Axes]:
    width, height = PARITY_SIZE
    figure = style.new_figure(height, width)
    main, residual = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    figure.align_ylabels([main, residual])
    return figure, main, residual


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
