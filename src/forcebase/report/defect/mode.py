"""A mode of a defect as arrows on the structure around it, from above and from the side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from forcebase.physics.defect_spectra import DefectSpectra
from forcebase.physics.local_dos import layer_normal
from forcebase.physics.localisation import LocalisedMode
from forcebase.physics.shells import vectors_from
from forcebase.report import style
from forcebase.report.defect import panels
from forcebase.report.phonons import FrequencyUnit

Array = NDArray[np.float64]

REACH = 8.6
"""angstrom; half the width of the picture."""

ATOM = 0.42
"""Of the covalent radius, drawn."""

BOND = 1.15
"""Of the sum of covalent radii, at most."""

ARROW = 1.5
"""angstrom, of the largest displacement."""

SEEN = 0.12
"""Of the largest displacement, below which nothing is drawn."""

SLICE = 1.0
"""angstrom, half the thickness of the slice in the side view."""

ABOVE, BELOW = "#111111", "#9a4f96"
"""Arrows of the upper and of the lower side of the layer."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Atoms around the defect in a frame of axes (across, along, up), angstrom.

    Attributes:
        positions: (n, 3) from the defect; images are atoms of their own.
        displacements: (n, 3), the largest of length 1.
        sites: (n,) number in the defect cell.
        symbols: (n,) elements.
        bonds: (m, 2, 3) ends.
    """

    positions: Array
    displacements: Array
    sites: NDArray[np.int64]
    symbols: NDArray[np.str_]
    bonds: Array


@style.in_house_style
def draw_mode(
    spectra: DefectSpectra, mode: LocalisedMode, unit: FrequencyUnit = FrequencyUnit.PER_CM
) -> Figure:
    """Displacements of a mode around the defect, from above and in a slice through it.

    Of a degenerate level it is the vector that moves the atom nearest to the defect most.
    """
    scene = make_scene(spectra, mode)
    height = float(np.ptp(scene.positions[:, 2])) + 4.0
    figure = style.new_figure(6.3 * (1 + height / (2 * REACH)) + 1.3, 6.3)
    above, side = figure.subplots(2, 1, height_ratios=(2 * REACH, height))
    _draw_view(above, scene, (0, 1, 2))
    thin = np.abs(scene.positions[:, 1]) < SLICE
    _draw_view(side, _part(scene, thin), (0, 2, 1))
    middle = (scene.positions[:, 2].min() + scene.positions[:, 2].max()) / 2
    above.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), ylabel="From above")
    side.set(
        xlim=(-REACH, REACH),
        ylim=(middle - height / 2, middle + height / 2),
        ylabel="Slice, from the side",
    )
    above.set_title(describe(spectra, mode, unit))
    _draw_scale(side, middle - height / 2)
    figure.legend(handles=_handles(scene), loc="outside lower center", ncols=4)
    return figure


def describe(spectra: DefectSpectra, mode: LocalisedMode, unit: FrequencyUnit) -> str:
    """Frequency, character, degeneracy and weights of a mode, in two lines."""
    times = f", ×{mode.degeneracy}" if mode.degeneracy > 1 else ""
    shells = ", ".join(
        f"{100 * weight:.0f} % {label}"
        for label, weight in zip(spectra.groups.shells.labels, mode.weights, strict=True)
    )
    return (
        f"{panels.title(spectra)}: {mode.frequency * unit.per_thz:.1f} {unit.symbol} "
        f"({mode.character}{times})\n{shells}; {mode.participation:.0f} sites take part"
    )


def make_scene(spectra: DefectSpectra, mode: LocalisedMode) -> Scene:
    """Place the atoms around the defect, with the nearest one to the right of it."""
    vectors = vectors_from(spectra.atoms, spectra.centre)
    nearest = int(np.linalg.norm(vectors, axis=1).argmin())
    frame = _frame(spectra, vectors)
    displacements = displacement_of(spectra, mode, nearest) @ frame.T
    displacements /= np.linalg.norm(displacements, axis=1).max()
    shifts = _shifts(spectra.atoms.cell.array, layer_normal(spectra.atoms))
    sites = np.tile(np.arange(len(vectors)), len(shifts))
    positions = (vectors[None] + shifts[:, None]).reshape(-1, 3) @ frame.T
    seen = np.all(np.abs(positions[:, :2]) < REACH + 3.0, axis=1)
    positions, sites = positions[seen], sites[seen]
    atoms = spectra.atoms[sites]
    atoms.set_positions(positions)
    atoms.set_pbc(False)
    first, second = neighbor_list("ij", atoms, BOND * covalent_radii[atoms.numbers])
    once = first < second
    return Scene(
        positions=positions,
        displacements=displacements[sites],
        sites=sites,
        symbols=np.array(atoms.get_chemical_symbols()),
        bonds=np.stack([positions[first[once]], positions[second[once]]], axis=1),
    )


def displacement_of(spectra: DefectSpectra, mode: LocalisedMode, site: int) -> Array:
    """(n_sites, 3) displacements of a level, those that move `site` most; in no unit."""
    level = slice(mode.index, mode.index + mode.degeneracy)
    vectors = spectra.gamma.eigenvectors[:, :, level]
    _, _, mixings = np.linalg.svd(vectors[site])
    chosen = vectors @ mixings[0]
    along = chosen[site][np.abs(chosen[site]).argmax()]
    sign = -1.0 if along < 0 else 1.0
    return np.asarray(sign * chosen / np.sqrt(spectra.atoms.get_masses())[:, None])


def _frame(spectra: DefectSpectra, vectors: Array) -> Array:
    """(3, 3) rows across, along and up; across points to the nearest atom off the normal."""
    up = layer_normal(spectra.atoms)
    flat = vectors - np.outer(vectors @ up, up)
    aside = np.linalg.norm(flat, axis=1) > 0.5
    nearest = np.flatnonzero(aside)[np.linalg.norm(vectors[aside], axis=1).argmin()]
    across = flat[nearest] / np.linalg.norm(flat[nearest])
    return np.array([across, np.cross(up, across), up])


def _shifts(cell: Array, up: Array) -> Array:
    """(n, 3) lattice vectors by which images of the cell may lie in the picture."""
    steps = np.stack(np.meshgrid(*[range(-3, 4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = steps @ cell
    return np.asarray(shifts[np.abs(shifts @ up) < 1e-3])


def _part(scene: Scene, mask: NDArray[np.bool_]) -> Scene:
    inside = np.all(np.abs(scene.bonds[:, :, 1]) < SLICE, axis=1)
    return Scene(
        scene.positions[mask],
        scene.displacements[mask],
        scene.sites[mask],
        scene.symbols[mask],
        scene.bonds[inside],
    )


def _draw_view(axes: Axes, scene: Scene, order: tuple[int, int, int]) -> None:
    """Draw the scene seen along its axis `order[2]`, with `order[:2]` to the right and up."""
    right, upward, depth = order
    axes.add_collection(
        LineCollection(
            list(scene.bonds[:, :, [right, upward]]), colors="#b5b5b5", linewidths=1.6, zorder=1
        )
    )
    toward = 1.0 if depth == 2 else -1.0
    lowest, highest = scene.positions[:, 2].min(), scene.positions[:, 2].max()
    for i in np.argsort(toward * scene.positions[:, depth]):
        place = scene.positions[i]
        radius = ATOM * covalent_radii_of(scene.symbols[i])
        under = depth == 2 and place[2] < lowest + 0.3 * (highest - lowest)
        grow = 1.35 if under else 1.0
        axes.add_patch(
            Circle(
                (place[right], place[upward]),
                radius * grow,
                facecolor=style.element_color(scene.symbols[i]),
                alpha=0.45 if under else 1.0,
                edgecolor="#404040",
                linewidth=0.5,
                zorder=2 if under else 3,
            )
        )
        _draw_displacement(axes, scene, int(i), order, toward, under)
    axes.add_patch(
        Circle(
            (0, 0),
            0.9,
            fill=False,
            linestyle=(0, (3, 2)),
            linewidth=1.6,
            edgecolor="#111111",
            zorder=6,
        )
    )
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def covalent_radii_of(symbol: str) -> float:
    """Covalent radius of an element, angstrom."""
    from ase.data import atomic_numbers

    return float(covalent_radii[atomic_numbers[symbol]])


def _draw_displacement(
    axes: Axes, scene: Scene, i: int, order: tuple[int, int, int], toward: float, under: bool
) -> None:
    right, upward, depth = order
    place, moved = scene.positions[i], scene.displacements[i]
    flat = moved[[right, upward]]
    color = BELOW if under else ABOVE
    if np.linalg.norm(flat) > SEEN:
        axes.annotate(
            "",
            xy=place[[right, upward]] + ARROW * flat,
            xytext=place[[right, upward]],
            arrowprops={
                "arrowstyle": "-|>,head_length=0.45,head_width=0.22",
                "color": color,
                "linewidth": 2.6 if under else 1.5,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=4 if under else 5,
            annotation_clip=True,
        )
    normal = toward * moved[depth]
    if abs(normal) > SEEN:
        size = 11 * np.sqrt(abs(normal))
        spot = place[[right, upward]]
        axes.plot(
            *spot,
            "o",
            markersize=size,
            markerfacecolor="white",
            markeredgecolor=color,
            markeredgewidth=1.1,
            zorder=4 if under else 5,
        )
        axes.plot(
            *spot,
            "." if normal > 0 else "x",
            color=color,
            markersize=0.5 * size,
            markeredgewidth=1.1,
            zorder=4 if under else 5,
        )


def _draw_scale(axes: Axes, bottom: float) -> None:
    """A bar of 5 angstrom."""
    axes.plot([REACH - 5.4, REACH - 0.4], [bottom + 0.5] * 2, color="#111111", linewidth=2)
    axes.text(REACH - 2.9, bottom + 0.65, "5 Å", ha="center", va="bottom", fontsize=9)


def _handles(scene: Scene) -> list[Line2D]:
    atoms = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=9,
            markeredgecolor="#404040",
            markeredgewidth=0.5,
            color=style.element_color(symbol),
            label=symbol,
        )
        for symbol in np.unique(scene.symbols)
    ]
    return [
        *atoms,
        Line2D(
            [],
            [],
            linestyle="none",
            marker="$⊙$",
            color=ABOVE,
            markersize=10,
            label="toward the reader",
        ),
    ]
