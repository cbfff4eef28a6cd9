"""Stability of a harmonic crystal: whether any mode is imaginary, and whether that is certain.

At the q-points that are commensurate with the supercell, frequencies are what the force constants
say. Between them they are interpolated: an imaginary one there, as of a layer's flexural branch
near Gamma, may be gone in a larger supercell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.band_path import band_path
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import irreducible_mesh, solve
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes
from forcebase.physics.vibrations import IMAGINARY

SPACING = 0.15
"""1/angstrom, between the q-points that are looked at beside the commensurate ones."""

DENSITY = 15.0
"""Points per 1/angstrom of the band path, which has the special points and the way from Gamma."""

LARGE = 300
"""Modes; of a larger cell the commensurate points alone are looked at, for each takes seconds."""


@dataclass(frozen=True, eq=False)
class ImaginaryModes:
    """Imaginary modes among those of some q-points.

    Attributes:
        n_modes: imaginary ones.
        n_points: q-points that have any.
        n_looked_at: q-points.
        worst: THz, of the largest, without the i.
        q_point: (3,) fractional, where that is.
    """

    n_modes: int
    n_points: int
    n_looked_at: int
    worst: float
    q_point: NDArray[np.float64]

    @property
    def where(self) -> str:
        """The worst and its q-point, as "8.000i THz at (0.5, 0, 0.5)"."""
        place = ", ".join(f"{x + 0.0:.4g}" for x in self.q_point)
        return f"{self.worst:.3f}i THz at ({place})"


@dataclass(frozen=True)
class Stability:
    """What of a crystal is imaginary.

    Attributes:
        commensurate: at the q-points that fit into the supercell; None where all is real.
        interpolated: between them, looked for only where `commensurate` is None.
        n_commensurate: q-points that fit into the supercell.
    """

    commensurate: ImaginaryModes | None
    interpolated: ImaginaryModes | None
    n_commensurate: int

    @property
    def words(self) -> str:
        """One line, also where all is real."""
        told = f"all modes real at the {self.n_commensurate} q-points that fit into the supercell"
        return self.finding() or told

    def finding(self) -> str | None:
        """One line for a record; None where all is real."""
        if (found := self.commensurate) is not None:
            return (
                f"unstable: {found.n_modes} imaginary modes at {found.n_points} of the "
                f"{found.n_looked_at} q-points that fit into the supercell, "
                f"the worst {found.where}"
            )
        if (found := self.interpolated) is not None:
            return (
                "imaginary only between the q-points that fit into the supercell, where "
                f"frequencies are interpolated: the worst {found.where}; repeat in a larger "
                "supercell"
            )
        return None


def commensurate_points(crystal: HarmonicCrystal) -> NDArray[np.float64]:
    """(n_cells, 3) fractional, all waves that fit into the supercell, whatever its matrix."""
    from phonopy.harmonic.dynmat_to_fc import get_commensurate_points

    matrix = np.linalg.solve(crystal.primitive_matrix, crystal.supercell_matrix)
    return get_commensurate_points(np.round(matrix).astype(np.int64))


def stability(crystal: HarmonicCrystal) -> Stability:
    """Look for imaginary modes: where frequencies are certain, then where they are not."""
    exact = commensurate_points(crystal)
    found = _imaginary(crystal, exact)
    if found is not None or 3 * len(crystal.primitive_atoms) > LARGE:
        return Stability(found, None, len(exact))
    return Stability(None, _imaginary(crystal, _between(crystal)), len(exact))


def instability(crystal: HarmonicCrystal) -> str | None:
    """Say what is imaginary in one line; None where nothing is."""
    return stability(crystal).finding()


def _imaginary(crystal: HarmonicCrystal, points: NDArray[np.float64]) -> ImaginaryModes | None:
    """At all of the points; of one and its negative, which has the same, one is solved."""
    first, counts = _without_negatives(points)
    frequencies = np.array(
        [modes.frequencies for modes in solve(crystal, points[first], with_vectors=False)]
    )
    imaginary = frequencies < IMAGINARY
    if not imaginary.any():
        return None
    return ImaginaryModes(
        n_modes=int(imaginary.sum(axis=1) @ counts),
        n_points=int(imaginary.any(axis=1) @ counts),
        n_looked_at=len(points),
        worst=-float(frequencies.min()),
        q_point=points[first][int(frequencies.min(axis=1).argmin())],
    )


def _without_negatives(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of points of which no earlier one is the negative, and how many each stands for."""
    place = {_key(point): i for i, point in enumerate(points)}
    first = np.array([min(i, place.get(_key(-point), i)) for i, point in enumerate(points)])
    return np.unique(first, return_counts=True)


def _key(point: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple((np.round(point, 6) % 1.0).round(6) % 1.0)


def _between(crystal: HarmonicCrystal) -> NDArray[np.float64]:
    """A mesh and the lattice's usual path, where it has one."""
    vacuum: Sequence[bool] = vacuum_axes(crystal.primitive_cell, crystal.primitive_atoms.positions)
    if all(vacuum):
        return np.zeros((1, 3))
    mesh = kpoint_mesh(crystal.primitive_cell, SPACING, vacuum)
    points, _ = irreducible_mesh(crystal, mesh)
    try:
        path = band_path(crystal.primitive_cell, vacuum, DENSITY).q_points
    except InputError:  # a slanted vacuum axis
        return points
    return np.concatenate([points, path])
