"""Pictures of a point defect's vibrations."""

from forcebase.report.defect.bands import draw_bands_and_dos, draw_bands_beside
from forcebase.report.defect.convergence import draw_convergence
from forcebase.report.defect.local_bands import draw_local_bands
from forcebase.report.defect.local_dos import draw_local_dos
from forcebase.report.defect.mode import draw_mode
from forcebase.report.defect.study import draw_study

__all__ = [
    "draw_bands_and_dos",
    "draw_bands_beside",
    "draw_convergence",
    "draw_local_bands",
    "draw_local_dos",
    "draw_mode",
    "draw_study",
]
