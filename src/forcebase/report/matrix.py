"""One picture of several models and references: a field of errors for each quantity."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from forcebase.comparison.matrix import Matrix
from forcebase.errors import InputError
from forcebase.report import style
from forcebase.safety.text import figure_text

PANELS = {
    "energy": "energy MAE (meV/atom)",
    "energy_aligned": "energy MAE, shifted by element (meV/atom)",
    "forces": "force MAE (meV/Å)",
    "stress": "stress MAE (meV/Å³)",
}
ROW, HEAD = 0.42, 1.1
"""inches of height: of a model, and of what is above and below."""


def write_matrix_picture(matrix: Matrix, names: Mapping[str, str], path: Path) -> None:
    """Draw a matrix of comparisons into a PNG.

    Args:
        matrix: what was compared.
        names: method id -> what it is called.
        path: the file.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.write_bytes(style.png(draw_matrix(matrix, names)))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose another file."
        ) from None


@style.in_house_style
def draw_matrix(matrix: Matrix, names: Mapping[str, str]) -> Figure:
    """Models as rows and references as columns; the darker, the larger the error."""
    height = HEAD + ROW * len(matrix.models)
    figure = style.new_figure(height)
    panels = figure.subplots(1, len(PANELS))
    for axes, (quantity, title) in zip(panels, PANELS.items(), strict=True):
        _draw_field(axes, _errors(matrix, quantity))
        axes.set_title("\n".join(_broken(title)), fontsize=9.5)
        references = [figure_text(names[method.id]) for method in matrix.references]
        axes.set_xticks(range(len(references)), references)
        axes.set_yticks(range(len(matrix.models)), [""] * len(matrix.models))
    panels[0].set_yticklabels([figure_text(names[method.id]) for method in matrix.models])
    return figure


def _errors(matrix: Matrix, quantity: str) -> NDArray[np.float64]:
    """(models, references) mean absolute errors; NaN where nothing was compared."""
    found = np.full((len(matrix.models), len(matrix.references)), np.nan)
    for i, model in enumerate(matrix.models):
        for j, reference in enumerate(matrix.references):
            validation = matrix.cells[model.id, reference.id]
            errors = validation.metrics["overall"][quantity] if validation else None
            if errors:
                found[i, j] = errors["mae"]
    return found


def _draw_field(axes: Axes, errors: NDArray[np.float64]) -> None:
    known = np.isfinite(errors)
    shade = np.log10(np.maximum(errors, 1e-12), where=known, out=np.full(errors.shape, np.nan))
    low = np.nanmin(shade) if known.any() else 0.0
    spread = max(np.nanmax(shade) - low, 1.0) if known.any() else 1.0
    axes.imshow(shade, cmap="Blues", vmin=low - 0.2, vmax=low + 1.3 * spread, aspect="auto")
    for (i, j), error in np.ndenumerate(errors):
        text = f"{error:.3g}" if np.isfinite(error) else "none"
        dark = np.isfinite(error) and shade[i, j] > low + 0.75 * spread
        axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _broken(title: str) -> list[str]:
    """A title in two lines, the unit in the second."""
    name, _, unit = title.partition(" (")
    return [name, f"({unit}"]
