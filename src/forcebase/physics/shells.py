"""Radial shells around a point of a periodic cell: what is near a defect, and what is far."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.periodicity import vacuum_axes

DEFAULT_EDGES = (3.0, 6.0)
"""angstrom; the neighbours of a site, those around them, and the rest."""


@dataclass(frozen=True)
class Shells:
    """Shells of distance from a centre.

    Attributes:
        edges: rising radii, angstrom; shell i holds edges[i - 1] < r <= edges[i], and one more
            shell holds what is beyond the last edge.
    """

    edges: tuple[float, ...] = DEFAULT_EDGES

    def __post_init__(self) -> None:
        edges = tuple(float(edge) for edge in self.edges)
        rising = all(a < b for a, b in pairwise(edges))
        if not edges or not rising or not edges[0] > 0 or not np.isfinite(edges).all():
            raise InputError(
                f"{list(self.edges)} are not edges of shells.",
                hint="Give rising radii in angstrom, as 3,6.",
            )
        object.__setattr__(self, "edges", edges)

    def __len__(self) -> int:
        return len(self.edges) + 1

    @property
    def labels(self) -> tuple[str, ...]:
        """As "≤ 3 Å", "3–6 Å", "> 6 Å"."""
        between = [f"{a:g}–{b:g} Å" for a, b in pairwise(self.edges)]
        return (f"≤ {self.edges[0]:g} Å", *between, f"> {self.edges[-1]:g} Å")

    def of(self, distances: ArrayLike) -> NDArray[np.int64]:
        """Give the shell number of each distance, angstrom."""
        return np.searchsorted(self.edges, np.asarray(distances, dtype=float), side="left")


def distances_from(atoms: Atoms, centre: ArrayLike) -> NDArray[np.float64]:
    """(n,) distance of each atom from the nearest image of `centre`, angstrom.

    Args:
        atoms: a periodic cell.
        centre: (3,) fractional coordinates.
    """
    return np.linalg.norm(vectors_from(atoms, centre), axis=1)


def vectors_from(atoms: Atoms, centre: ArrayLike) -> NDArray[np.float64]:
    """(n, 3) vector to each atom from the nearest image of `centre` (3,) fractional, angstrom."""
    origin = np.asarray(centre, dtype=float) @ atoms.cell.array
    vectors, _ = find_mic(atoms.positions - origin, atoms.cell, pbc=True)
    return np.asarray(vectors)


def image_radius(atoms: Atoms) -> float:
    """Radius, angstrom, within which a point is nearer to a centre than to any image of it.

    Half the shortest lattice translation; directions across vacuum do not count.
    """
    periodic = ~np.array(vacuum_axes(atoms.cell.array, atoms.positions))
    if not periodic.any():
        return float("inf")
    lattice = atoms.cell.array[periodic]
    steps = np.stack(np.meshgrid(*[range(-2, 3)] * len(lattice)), axis=-1).reshape(-1, len(lattice))
    lengths = np.linalg.norm(steps[np.any(steps != 0, axis=1)] @ lattice, axis=1)
    return float(lengths.min() / 2)


def sides(atoms: Atoms, tolerance: float = 0.5) -> NDArray[np.str_] | None:
    """Name the side of a layer that each atom is on: "top", "middle" or "bottom".

    Args:
        atoms: a layer, with one vacuum axis; anything else has no sides and gives None.
        tolerance: angstrom from the middle plane up to which an atom is in the middle.
    """
    axes = vacuum_axes(atoms.cell.array, atoms.positions)
    if sum(axes) != 1:
        return None
    height = heights(atoms, axes.index(True))
    return np.where(height > tolerance, "top", np.where(height < -tolerance, "bottom", "middle"))


def heights(atoms: Atoms, axis: int) -> NDArray[np.float64]:
    """(n,) height over the middle of the layer along the normal of lattice axis `axis`, angstrom.

    The layer may lie across the cell's border.
    """
    lattice = atoms.cell.array
    normal = np.linalg.inv(lattice)[:, axis]
    spacing = 1 / np.linalg.norm(normal)
    fractional = np.sort((atoms.positions @ normal) % 1.0)
    gaps = np.diff(np.append(fractional, fractional[0] + 1))
    start = fractional[(int(np.argmax(gaps)) + 1) % len(fractional)]
    unwrapped = (atoms.positions @ normal - start + 1e-9) % 1.0
    return (unwrapped - (unwrapped.min() + unwrapped.max()) / 2) * spacing


def misfit(atoms: Atoms, shells: Shells) -> str | None:
    """Say, with numbers, why a cell is too small for the shells; None where it is not."""
    radius = image_radius(atoms)
    if radius >= shells.edges[-1]:
        return None
    return (
        f"the cell is too small for shells up to {shells.edges[-1]:g} angstrom: beyond "
        f"{radius:.2f} angstrom atoms are as near to an image of the defect"
    )
