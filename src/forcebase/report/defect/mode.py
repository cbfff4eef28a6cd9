"""A mode of a defect as arrows on the structure around it, from above and from the side."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.localisation import LocalisedMode
from forcebase.report import style
from forcebase.report.defect import panels
from forcebase.report.defect.scene import Scene, make_scene
from forcebase.report.phonons import FrequencyUnit

Array = NDArray[np.float64]

REACH = 8.6
"""angstrom; half the width of the picture."""

SLICE = (-0.9, 2.4)
"""angstrom along the view, of what is seen from the side: a row of atoms and its neighbours."""

ATOM = 0.45
"""Of the covalent radius, drawn; atoms below others are drawn larger by `LARGER`."""
LARGER = 1.4

ARROW = 1.9
"""angstrom, of the largest displacement."""

SEEN = 0.08
"""Of the largest displacement: what moves less has no arrow."""

SEEN_ALONG_VIEW = 0.2
"""The same for a displacement toward the reader or away, which no length shows."""

SYMBOL = 13.0
"""points, of a dot or cross for the largest displacement."""

UPPER, LOWER = "#111111", "#8e2f87"
"""Displacements of atoms, and of those below others on the lower side of a layer."""


class View(Enum):
    """Where from: (axes to the right, up and along the view; its sign toward the reader)."""

    ABOVE = (0, 1, 2, 1.0)
    SIDE = (0, 2, 1, -1.0)


@style.in_house_style
def draw_mode(
    spectra: DefectSpectra, mode: LocalisedMode, unit: FrequencyUnit = FrequencyUnit.PER_CM
) -> Figure:
    """Displacements of a mode around the defect, from above and in a slice through it.

    Of a degenerate level it is the vector that moves the neighbour of the defect most.
    """
    scene = make_scene(spectra, mode, REACH)
    low, high = scene.positions[:, 2].min() - 1.6, scene.positions[:, 2].max() + 1.6
    figure = style.new_figure(1.4 + 6.0 * (1 + (high - low) / (2 * REACH)), 6.4)
    above, side = figure.subplots(2, 1, height_ratios=(2 * REACH, high - low))
    _draw_view(above, scene, View.ABOVE)
    _draw_view(side, scene.between(*SLICE), View.SIDE)
    above.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), ylabel="From above")
    side.set(xlim=(-REACH, REACH), ylim=(low, high), ylabel="From the side")
    above.set_title(describe(spectra, mode, unit))
    _draw_scale(side, high)
    figure.legend(handles=_handles(scene), loc="outside lower center", ncols=6, columnspacing=1.2)
    return figure


def describe(spectra: DefectSpectra, mode: LocalisedMode, unit: FrequencyUnit) -> str:
    """Frequency, character, degeneracy and weights of a mode, in two lines."""
    times = f", {mode.degeneracy}-fold" if mode.degeneracy > 1 else ""
    shells = ", ".join(
        f"{100 * weight:.0f} % at {label}"
        for label, weight in zip(spectra.groups.shells.labels, mode.weights, strict=True)
    )
    return (
        f"{panels.title(spectra)}: {mode.frequency * unit.per_thz:.1f} {unit.symbol}, "
        f"{mode.character}{times}\n{shells}; lives on {mode.participation:.0f} sites"
    )


def _draw_view(axes: Axes, scene: Scene, view: View) -> None:
    right, upward, depth, toward = view.value
    flat = [right, upward]
    bonds = LineCollection(
        list(scene.bonds[:, :, flat]), colors="#a8a8a8", linewidths=2.0, zorder=1
    )
    axes.add_collection(bonds)
    hidden = scene.bottom if view is View.ABOVE else np.zeros(len(scene.bottom), bool)
    for layer, mask in ((2, hidden), (4, ~hidden)):
        here = np.flatnonzero(mask)
        _draw_atoms(
            axes, scene, here[np.argsort(toward * scene.positions[here, depth])], flat, layer
        )
    for layer, mask, color in ((5, hidden, LOWER), (6, ~hidden, UPPER)):
        _draw_arrows(axes, scene.positions[mask], scene.displacements[mask], view, color, layer)
    for x, y in scene.centres[:, flat].tolist():
        axes.add_patch(
            Circle((x, y), 0.95, fill=False, linestyle=(0, (3, 2)), linewidth=1.5, zorder=8)
        )
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _draw_atoms(
    axes: Axes, scene: Scene, atoms: NDArray[np.int64], flat: list[int], layer: int
) -> None:
    """Draw circles, from the furthest to the nearest; pale, so that arrows show on them."""
    below = layer == 2
    for i in atoms:
        x, y = scene.positions[i, flat].tolist()
        number = int(scene.numbers[i])
        circle = Circle(
            (x, y),
            ATOM * covalent_radii[number] * (LARGER if below else 1.0),
            facecolor=_pale(chemical_symbols[number], 0.3 if below else 0.6),
            edgecolor="#555555",
            linewidth=0.6,
            zorder=layer,
        )
        axes.add_patch(circle)


def _pale(symbol: str, share: float) -> tuple[float, ...]:
    return tuple(1 - share * (1 - part) for part in to_rgb(style.element_color(symbol)))


def _draw_arrows(
    axes: Axes, positions: Array, displacements: Array, view: View, color: str, layer: int
) -> None:
    """Draw arrows in the plane, dots for what comes toward the reader, crosses for the rest."""
    right, upward, depth, toward = view.value
    places, moved = positions[:, [right, upward]], displacements[:, [right, upward]]
    shown = np.linalg.norm(moved, axis=1) > SEEN
    axes.quiver(
        *places[shown].T,
        *(ARROW * moved[shown]).T,
        angles="xy",
        scale_units="xy",
        scale=1.0,
        units="dots",
        width=style.RESOLUTION / 72 * (2.6 if color == LOWER else 1.7),
        headwidth=3.4,
        headlength=4.2,
        headaxislength=3.8,
        minlength=0.1,
        color=color,
        zorder=layer + 0.5,
    )
    normal = toward * displacements[:, depth]
    for sign, mark in ((1.0, "."), (-1.0, "x")):
        chosen = sign * normal > SEEN_ALONG_VIEW
        area = SYMBOL**2 * np.abs(normal[chosen])
        x, y = places[chosen].T
        axes.scatter(
            x, y, s=area, facecolor="white", edgecolor=color, linewidth=1.2, zorder=layer + 0.6
        )
        axes.scatter(
            x, y, s=0.3 * area, marker=mark, color=color, linewidth=1.2, zorder=layer + 0.7
        )


def _draw_scale(axes: Axes, top: float) -> None:
    """A bar of 5 angstrom."""
    axes.plot([-REACH + 0.3, -REACH + 5.3], [top - 0.35] * 2, color="#111111", linewidth=2)
    axes.text(-REACH + 5.6, top - 0.35, "5 Å", va="center", fontsize=9)


def _handles(scene: Scene) -> list[Line2D]:
    circle: dict[str, Any] = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 10,
        "markeredgecolor": "#555555",
    }
    sign: dict[str, Any] = {
        "linestyle": "none",
        "color": UPPER,
        "markersize": 11,
        "markeredgewidth": 0.2,
    }
    atoms = [
        Line2D([], [], color=_pale(symbol, 0.6), label=symbol, **circle)
        for symbol in sorted({chemical_symbols[number] for number in scene.numbers})
    ]
    lower = [Line2D([], [], color=LOWER, linewidth=2.6, label="lower side")]
    return [
        *atoms,
        Line2D([], [], color="black", linestyle=(0, (3, 2)), linewidth=1.5, label="defect"),
        Line2D([], [], marker="$⊙$", label="toward you", **sign),
        Line2D([], [], marker="$⊗$", label="away", **sign),
        *(lower if scene.bottom.any() else []),
    ]
