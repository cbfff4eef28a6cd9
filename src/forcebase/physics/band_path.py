"""Band path: the q-points along which bands are drawn and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.cell import Cell
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.periodicity import lattice_vectors

if TYPE_CHECKING:
    from ase.dft.kpoints import BandPath as ASEBandPath

DENSITY = 40.0
"""Points per 1/angstrom of path: about 120 on G-M-K-G of a 3.3 angstrom layer."""

BREAK = "|"
SAME_PLACE = 1e-9
"""1/angstrom; a jump adds nothing to the length of the path."""

LATTICE_TOLERANCE = 2e-3
"""Relative; a relaxed hexagonal layer that is off by less is still hexagonal."""

USUAL_LAYER_PATHS = {"HEX2D": "GMKG", "SQR": "GXMG", "RECT": "GXSYG"}
"""Paths by ASE's name of the 2D lattice; any other lattice takes ASE's default path."""


@dataclass(frozen=True, eq=False)
class BandPath:
    """Straight segments between special points.

    Attributes:
        q_points: (n, 3) fractional, of the reciprocal primitive lattice.
        distances: (n,) length of path so far, 1/angstrom with the factor 2 pi; a jump
            between two segments adds nothing.
        labels: names of the special points, G for Gamma.
        label_indices: index into `q_points` of each label.
        segments: (start, stop) slices of `q_points` without a jump inside; of a polar path, none
            goes through Gamma, which stands in two of them.
        directions: (n, 3) fractional, along which the path comes to Gamma or leaves it, zeros
            elsewhere: the non-analytical term depends on it.
    """

    q_points: NDArray[np.float64]
    distances: NDArray[np.float64]
    labels: tuple[str, ...]
    label_indices: tuple[int, ...]
    segments: tuple[tuple[int, int], ...]
    directions: NDArray[np.float64]

    @property
    def label_distances(self) -> NDArray[np.float64]:
        """Where the labels stand, 1/angstrom."""
        return self.distances[list(self.label_indices)]

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """(1/angstrom, name) of each place with a label; both sides of a jump as "U|K"."""
        found: list[tuple[float, str]] = []
        for distance, name in zip(self.label_distances.tolist(), self.labels, strict=True):
            if found and distance - found[-1][0] < SAME_PLACE:
                before = found.pop()[1]
                name = before if before.split(BREAK)[-1] == name else f"{before}{BREAK}{name}"
            found.append((distance, name))
        return found

    @property
    def name(self) -> str:
        """Its special points, as "G-X-U|K-G-L"."""
        return "-".join(name for _, name in self.ticks)

    def gamma_points(self) -> list[tuple[int, str]]:
        """Index and way, as "G-X", of each stop at Gamma that has a direction; each way once."""
        found: dict[str, int] = {}
        for start, stop in self.segments:
            inside = [i for i, k in enumerate(self.label_indices) if start <= k < stop]
            for here, there in ((inside[0], inside[1]), (inside[-1], inside[-2])):
                index = self.label_indices[here]
                if self.directions[index].any():
                    found.setdefault(f"{self.labels[here]}-{self.labels[there]}", index)
        return [(index, way) for way, index in found.items()]


def band_path(
    cell: ArrayLike,
    vacuum_axes: Sequence[bool] = (False, False, False),
    density: float = DENSITY,
    *,
    polar: bool = False,
) -> BandPath:
    """Choose the usual path of a lattice.

    Special points are those of Setyawan and Curtarolo, Comput. Mater. Sci. 49, 299 (2010),
    in the basis of the given cell, so the angle between its vectors (60 or 120 degrees)
    does not matter.

    Args:
        cell: (3, 3) primitive lattice vectors as rows, angstrom.
        vacuum_axes: (3,) lattice directions without dispersion.
        density: points per 1/angstrom; every segment has its ends and at least one more.
        polar: Gamma on the way is given twice, once for each direction.

    Raises:
        InputError: a molecule, a cell that ASE cannot classify, a vacuum axis that is not
            normal to the layer or chain.
    """
    lattice = Cell(lattice_vectors(cell))
    _check_vacuum(lattice, vacuum_axes)
    path = _special_path(lattice, [not vacuum for vacuum in vacuum_axes])
    reciprocal = 2 * np.pi * np.linalg.inv(lattice.array).T
    return _sample(path, reciprocal, density, polar)


def _check_vacuum(lattice: Cell, vacuum_axes: Sequence[bool]) -> None:
    if all(vacuum_axes):
        raise InputError("A molecule has no bands: all three directions are vacuum.")
    directions = lattice.array / lattice.lengths()[:, None]
    overlaps = np.abs(directions @ directions.T - np.eye(3))
    if any(overlaps[axis].max() > LATTICE_TOLERANCE for axis in np.flatnonzero(vacuum_axes)):
        raise InputError(
            "The vacuum axis is not normal to the other lattice vectors, so no standard path "
            "fits this cell.",
            hint="Put the layer or chain into a cell whose vacuum vector is normal to it.",
            cell=lattice.array.tolist(),
        )


def _special_path(lattice: Cell, periodic: Sequence[bool]) -> ASEBandPath:
    # ASE's tolerance is absolute; special points are fractional, so the scale is free.
    scaled = Cell(lattice.array / lattice.lengths()[list(periodic)].min())
    try:
        bravais = scaled.get_bravais_lattice(pbc=periodic, eps=LATTICE_TOLERANCE)
        usual = USUAL_LAYER_PATHS.get(bravais.name)
        return scaled.bandpath(usual, pbc=periodic, npoints=0, eps=LATTICE_TOLERANCE)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise InputError(
            f"No standard band path fits this cell: {error}.",
            hint="Give the primitive cell in a standard setting.",
            cell=lattice.array.tolist(),
        ) from error


def _sample(
    path: ASEBandPath, reciprocal: NDArray[np.float64], density: float, polar: bool
) -> BandPath:
    q_points: list[NDArray[np.float64]] = []
    directions: list[NDArray[np.float64]] = []
    distances: list[float] = []
    labels: list[str] = []
    label_indices: list[int] = []
    segments: list[tuple[int, int]] = []
    travelled = 0.0
    corners = {name: np.asarray(at, dtype=float) for name, at in path.special_points.items()}
    for names in _pieces(path.path, corners, polar):
        start = len(q_points)
        for i, name in enumerate(names):
            corner = corners[name]
            before = q_points[-1] if i else corner
            length = float(np.linalg.norm((corner - before) @ reciprocal))
            n_steps = max(2, round(length * density)) if i else 1
            for fraction in np.arange(1, n_steps + 1) / n_steps:
                q_points.append(before + fraction * (corner - before))
                distances.append(travelled + float(fraction) * length)
            travelled += length
            labels.append(name)
            label_indices.append(len(q_points) - 1)
        segments.append((start, len(q_points)))
        directions += _directions(q_points[start:])
    return BandPath(
        np.array(q_points),
        np.array(distances),
        tuple(labels),
        tuple(label_indices),
        tuple(segments),
        np.array(directions),
    )


def _pieces(path: str, corners: dict[str, NDArray[np.float64]], polar: bool) -> list[list[str]]:
    """Names of special points without a jump; of a polar path, Gamma is at the ends alone."""
    from ase.dft.kpoints import parse_path_string

    pieces: list[list[str]] = []
    for names in parse_path_string(path):
        piece: list[str] = []
        for i, name in enumerate(names):
            piece.append(name)
            if polar and 0 < i < len(names) - 1 and not corners[name].any():
                pieces.append(piece)
                piece = [name]
        pieces.append(piece)
    return pieces


def _directions(points: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """At Gamma, the way to the next point, or from the one before; zeros elsewhere."""
    found = []
    for i, point in enumerate(points):
        beside = points[i + 1] if i + 1 < len(points) else points[i - 1]
        found.append(np.zeros(3) if point.any() else beside - point)
    return found
