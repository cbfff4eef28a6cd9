"""Local density of vibrational states: site by site, along and across an axis, summed by groups.

Each site's share of a mode is the squared length of its part of the eigenvector, so the local
densities add up to the total one, and each site's integrates to its three degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import irreducible_mesh, solve
from forcebase.physics.periodicity import vacuum_axes
from forcebase.physics.shells import Shells, distances_from, sides
from forcebase.physics.vibrations import SIGMA, gaussians

DIRECTIONS = ("in-plane", "out-of-plane")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SiteDOS:
    """Density of states of each site.

    Attributes:
        frequencies: (n,) THz.
        values: (n_sites, 2, n) states per THz, across the axis ("in-plane") and along it
            ("out-of-plane").
    """

    frequencies: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def total(self) -> NDArray[np.float64]:
        """(n,) sum over sites and directions."""
        return self.values.sum(axis=(0, 1))

    def of(self, sites: ArrayLike, direction: str | None = None) -> NDArray[np.float64]:
        """(n,) sum over `sites`, a mask or indices, in one direction or both."""
        chosen = self.values[np.asarray(sites)]
        if direction is None:
            return chosen.sum(axis=(0, 1))
        return chosen[:, DIRECTIONS.index(direction)].sum(axis=0)

    def on(self, frequencies: NDArray[np.float64]) -> SiteDOS:
        """The same on another grid (n,) THz, between its points on straight lines."""
        values = np.apply_along_axis(
            lambda states: np.interp(frequencies, self.frequencies, states, left=0.0, right=0.0),
            2,
            self.values,
        )
        return SiteDOS(frequencies, values)

    def spread(self, site_of: ArrayLike) -> SiteDOS:
        """Repeat onto the sites of a supercell: site i there is like `site_of[i]` here."""
        return SiteDOS(self.frequencies, self.values[np.asarray(site_of)])


@dataclass(frozen=True, eq=False)
class SiteGroups:
    """Sites by what a local DOS is summed over.

    Attributes:
        shells: the radial shells.
        shell: (n,) number of each site's shell.
        distance: (n,) from the centre, angstrom.
        symbols: (n,) element of each site.
        side: (n,) "top", "middle" or "bottom"; None where the structure is not a layer.
    """

    shells: Shells
    shell: NDArray[np.int64]
    distance: NDArray[np.float64]
    symbols: NDArray[np.str_]
    side: NDArray[np.str_] | None

    def by_shell(self) -> dict[str, NDArray[np.bool_]]:
        """Shell label -> mask of its sites."""
        return {label: self.shell == i for i, label in enumerate(self.shells.labels)}

    def by_species(self) -> dict[str, NDArray[np.bool_]]:
        """Species -> mask: the element, and its side where it is on both, as "Se top"."""
        species = self.species()
        return {str(name): species == name for name in dict.fromkeys(sorted(species))}

    def species(self) -> NDArray[np.str_]:
        """(n,) name of each site's species, as in `by_species`."""
        if self.side is None:
            return self.symbols
        names = self.symbols.astype("<U16")
        for symbol in np.unique(self.symbols):
            here = self.symbols == symbol
            if len(np.unique(self.side[here])) > 1:
                names[here] = [f"{symbol} {side}" for side in self.side[here]]
        return names


def site_groups(atoms: Atoms, centre: ArrayLike, shells: Shells) -> SiteGroups:
    """Sort the sites of `atoms` by distance from `centre` (3,) fractional, element and side."""
    distance = distances_from(atoms, centre)
    return SiteGroups(
        shells=shells,
        shell=shells.of(distance),
        distance=distance,
        symbols=np.array(atoms.get_chemical_symbols()),
        side=sides(atoms),
    )


def site_dos(
    crystal: HarmonicCrystal,
    mesh: Sequence[int],
    frequencies: NDArray[np.float64],
    sigma: float = SIGMA,
    axis: ArrayLike | None = None,
    on_point: Progress = lambda done, total: None,
) -> SiteDOS:
    """Sum Gaussians over the modes of a Gamma-centred mesh, weighted with each site's share.

    Only irreducible q-points are solved, and equivalent sites are averaged; where a symmetry
    turns the axis into another direction, all q-points are.

    Args:
        crystal: the crystal; the sites are those of its primitive cell.
        mesh: (3,) q-points along the reciprocal primitive vectors.
        frequencies: (n,) THz, rising.
        sigma: standard deviation, THz.
        axis: (3,) that "out-of-plane" is along; None takes a layer's normal, else z.
        on_point: told of (q-points done, in all).
    """
    normal = layer_normal(crystal.primitive_atoms) if axis is None else _unit(axis)
    symmetric = _keeps(crystal, normal)
    points, weights = irreducible_mesh(crystal, mesh, symmetry=symmetric)
    values = np.zeros((len(crystal.primitive_atoms), 2, len(frequencies)))
    for done, (modes, weight) in enumerate(zip(solve(crystal, points), weights, strict=True)):
        shares = site_shares(modes.eigenvectors, normal)
        peaks = gaussians(frequencies, modes.frequencies, sigma)
        values += weight * np.tensordot(shares, peaks, axes=(2, 1))
        on_point(done + 1, len(points))
    if symmetric:
        values = _averaged(values, crystal.symmetry.equivalent_atoms)
    return SiteDOS(frequencies, values)


def site_shares(vectors: NDArray, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each site in each mode, across and along `normal`.

    Args:
        vectors: (n_sites, 3, n_modes) eigenvectors, each of length 1.
        normal: (3,) unit vector.

    Returns:
        (n_sites, 2, n_modes); the sum over sites and directions is 1.
    """
    along = np.abs(np.einsum("a,iam->im", normal, vectors)) ** 2
    both = (np.abs(vectors) ** 2).sum(axis=1)
    return np.stack([np.clip(both - along, 0.0, None), along], axis=1)


def layer_normal(atoms: Atoms) -> NDArray[np.float64]:
    """(3,) unit vector normal to a layer; z for what is not a layer."""
    axes = vacuum_axes(atoms.cell.array, atoms.positions)
    if sum(axes) != 1:
        return np.array([0.0, 0.0, 1.0])
    return _unit(np.linalg.inv(atoms.cell.array)[:, axes.index(True)])


def _unit(axis: ArrayLike) -> NDArray[np.float64]:
    vector = np.asarray(axis, dtype=float)
    length = np.linalg.norm(vector)
    if vector.shape != (3,) or not length > 0:
        raise InputError(f"{axis!r} is not a direction.", hint="Give three numbers, as 0,0,1.")
    return vector / length


def _keeps(crystal: HarmonicCrystal, normal: NDArray[np.float64]) -> bool:
    """Whether every rotation of the crystal maps the normal onto itself, up to the sign."""
    lattice = crystal.primitive_cell.T
    inverse = np.linalg.inv(lattice)
    turned = [lattice @ turn @ inverse @ normal for turn in crystal.symmetry.rotations]
    return bool(np.allclose(np.abs(np.array(turned) @ normal), 1.0, atol=1e-3))


def _averaged(values: NDArray[np.float64], kind: NDArray[np.int64]) -> NDArray[np.float64]:
    averaged = np.empty_like(values)
    for site in np.unique(kind):
        averaged[kind == site] = values[kind == site].mean(axis=0)
    return averaged
