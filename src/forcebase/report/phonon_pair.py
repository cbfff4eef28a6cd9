"""One picture of two phonons: bands overlaid, states beside, force constants against distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from forcebase.comparison import Comparison
from forcebase.database.crystals import crystal_of
from forcebase.database.database import Database
from forcebase.errors import InputError
from forcebase.physics.crystal_setting import in_one_setting
from forcebase.physics.polar_splitting import Nac, nac_of
from forcebase.physics.spectra import Spectra, spectra_of
from forcebase.records import Validation
from forcebase.report import style
from forcebase.safety.text import figure_text
from forcebase.units import THZ_TO_CM1


def write_phonon_picture(db: Database, comparison: Comparison, path: Path) -> None:
    """Draw a comparison of phonons into a PNG; what was found again, from its records.

    Raises:
        InputError: the file cannot be written.
    """
    figure = draw_record(db, comparison.validation, comparison.spectra)
    try:
        path.write_bytes(style.png(figure))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose another file."
        ) from None


def draw_record(db: Database, validation: Validation, spectra: Spectra | None = None) -> Figure:
    """Draw a comparison of phonons; where its spectra are not given, they are computed anew."""
    names = (_name(db, validation.model), _name(db, validation.reference))
    return draw_phonon_pair(spectra or _spectra(db, validation), dict(validation.metrics), names)


def _spectra(db: Database, validation: Validation) -> Spectra:
    sides = [db.phonons.get(validation.on[f"{side}_phonon"]) for side in ("model", "reference")]
    model, reference = in_one_setting(*(crystal_of(db, phonon) for phonon in sides))
    return spectra_of(model, reference, nac_of(validation.on.get("nac_asked") or Nac.REFERENCE))


@style.in_house_style
def draw_phonon_pair(
    spectra: Spectra, metrics: Mapping[str, Any], names: tuple[str, str]
) -> Figure:
    """Draw both sides.

    Args:
        spectra: of the two.
        metrics: of their comparison: `modes`, `band_mae_THz`, `force_constants`.
        names: of the model and of the reference.
    """
    figure = style.new_figure(7.2)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2), width_ratios=(3.2, 1))
    bands = figure.add_subplot(grid[0, 0])
    states = figure.add_subplot(grid[0, 1], sharey=bands)
    _draw_bands(bands, spectra, names)
    _draw_states(states, spectra)
    _draw_force_constants(figure.add_subplot(grid[1, :]), metrics["force_constants"])
    bands.set_title(
        f"Bands: MAE {metrics['band_mae_THz']:.3f} THz, "
        f"of paired modes {metrics['modes']['mae_THz']:.3f} THz",
        loc="left",
    )
    if spectra.splitting.applied is Nac.REFERENCE:
        bands.set_xlabel("Born charges of the reference on both sides", fontsize="small")
    figure.legend(*bands.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def _draw_bands(axes: Axes, spectra: Spectra, names: tuple[str, str]) -> None:
    path = spectra.path
    sides = (
        (spectra.reference_bands, style.REFERENCE, "-", names[1]),
        (spectra.model_bands, style.MODEL, "--", names[0]),
    )
    for bands, color, line, name in sides:
        for start, stop in path.segments:
            lines = axes.plot(
                path.distances[start:stop],
                bands.frequencies[start:stop],
                color=color,
                linestyle=line,
                linewidth=1.2,
            )
        lines[0].set_label(name)
    style.mark_path(axes, path.ticks)
    axes.set_xlim(path.distances[0], path.distances[-1])
    lowest = min(spectra.model_bands.frequencies.min(), spectra.reference_bands.frequencies.min())
    if lowest > -0.1:
        axes.set_ylim(bottom=0.0)
    style.zero_line(axes)
    axes.set_ylabel("Frequency (THz)")


def _draw_states(axes: Axes, spectra: Spectra) -> None:
    grid = spectra.reference_dos.frequencies
    axes.fill_betweenx(
        grid, spectra.reference_dos.total, color=style.REFERENCE, alpha=0.22, linewidth=0
    )
    axes.plot(spectra.model_dos.total, grid, color=style.MODEL, linewidth=1.2)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("states per THz and cell")
    axes.set_title("DOS", loc="left")
    axes.tick_params(labelleft=False)
    right = axes.secondary_yaxis("right", functions=(_per_cm, _thz))
    right.set_ylabel("Frequency (cm⁻¹)")


def _draw_force_constants(axes: Axes, errors: Mapping[str, Any]) -> None:
    rows: Sequence[Mapping[str, Any]] = errors["by_distance"]
    distances = np.array([row["distance"] for row in rows])
    curves = (
        ("size", "o-", style.REFERENCE, "reference: mean norm of a pair's 3x3 block"),
        ("frobenius", "s--", style.MODEL, "mean norm of its error"),
    )
    for key, marks, color, label in curves:
        values = np.array([row[key] for row in rows])
        shown = values > 0
        axes.plot(distances[shown], values[shown], marks, color=color, markersize=5, label=label)
    axes.set_yscale("log")
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.set_xlim(left=-0.2)
    axes.set_xlabel("Distance of the pair (Å); 0 is an atom with itself")
    axes.set_ylabel("Force constants (eV/Å²)")
    axes.set_title(
        f"Force constants: RMSE {errors['rmse_eV_per_A2']:.3g} eV/Å², "
        f"{100 * errors['relative']:.2g} % of their norm",
        loc="left",
    )
    axes.legend(loc="upper right")


def _per_cm(frequencies: Any) -> Any:
    return frequencies * THZ_TO_CM1


def _thz(wave_numbers: Any) -> Any:
    return wave_numbers / THZ_TO_CM1


def _name(db: Database, method_id: str) -> str:
    """The name that users gave the method, else its title."""
    method = db.methods.get(method_id)
    names = sorted(name for name in db.names.of(method_id) if name)
    return figure_text(names[0] if names else method.title)
