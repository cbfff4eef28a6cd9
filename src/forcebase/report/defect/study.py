"""All pictures of a defect study, by name."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.report.defect.bands import draw_bands_and_dos, draw_bands_beside
from forcebase.report.defect.convergence import draw_convergence
from forcebase.report.defect.local_bands import draw_local_bands
from forcebase.report.defect.local_dos import draw_local_dos
from forcebase.report.defect.mode import draw_mode
from forcebase.report.phonons import FrequencyUnit


def draw_study(
    spectra: Sequence[DefectSpectra],
    references: Sequence[DefectSpectra | None] | None = None,
    unit: FrequencyUnit = FrequencyUnit.PER_CM,
    n_modes: int = 2,
) -> dict[str, Figure]:
    """Draw all that a study of one defect in several supercells shows.

    Args:
        spectra: of each supercell; the largest has the pictures of its own.
        references: DFT's of the same supercells, None where there is none.
        unit: of frequencies.
        n_modes: localised modes of the largest cell to draw, the most localised ones.

    Returns:
        File name without ending -> figure. Pictures of bands are left out where there are none.
    """
    largest = max(spectra, key=lambda one: len(one.atoms))
    figures: dict[str, Figure] = {}
    if largest.bands is not None:
        figures["bands_and_dos"] = draw_bands_and_dos(largest, unit)
        figures["local_bands"] = draw_local_bands(largest, unit=unit)
    figures["local_dos"] = draw_local_dos(largest, unit=unit)
    figures["convergence"] = draw_convergence(spectra, unit)
    chosen = sorted(largest.localised, key=lambda mode: -mode.weights[0])[:n_modes]
    for mode in chosen:
        name = f"mode_{mode.index + 1}"
        figures[name] = draw_mode(largest, mode, unit)
    for one, reference in zip(spectra, references or [None] * len(spectra), strict=True):
        if reference is None:
            continue
        figures[f"local_dos_dft_{one.size}"] = draw_local_dos(one, reference, unit)
        if one.bands is not None and reference.bands is not None:
            figures[f"bands_dft_{one.size}"] = draw_bands_beside(one, reference, unit)
    return figures
