"""Vibrations of a harmonic crystal: bands, densities of states, thermal properties.

Frequencies are in THz; an imaginary one is given as a negative number. A bulk crystal with Born
charges has the non-analytical term; at Gamma it needs a direction, and is left out without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.band_path import BandPath
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import irreducible_mesh, solve

SIGMA = 0.05
"""THz; standard deviation of the Gaussians of a DOS."""

GRID_POINTS_PER_SIGMA = 5
GRID_MARGIN = 6.0
"""In sigma: what a frequency grid adds on both sides of the spectrum."""

NORMALISATION_TOLERANCE = 1e-3
"""Relative; a DOS that misses more of its modes than this is refused."""

IMAGINARY = -1e-2
"""THz; below this a mode counts as imaginary, above it is rounding of an acoustic mode."""

KJ_PER_MOL_TO_EV = 1.0 / 96.48533212331002  # CODATA 2018: 1000 / (e N_A)


@dataclass(frozen=True, eq=False)
class Modes:
    """Normal modes at given q-points.

    Attributes:
        q_points: (n_q, 3) fractional, of the reciprocal primitive lattice.
        frequencies: (n_q, 3 n_primitive) THz, rising.
        eigenvectors: (n_q, 3 n_primitive, 3 n_primitive) of the dynamical matrix; mode j of
            q-point i is `eigenvectors[i, :, j]`, with atom and x, y, z running together.
    """

    q_points: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    eigenvectors: NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Bands:
    """Frequencies along a path.

    Attributes:
        path: the q-points, their distances and labels.
        frequencies: (n_q, 3 n_primitive) THz, rising at each q-point.
    """

    path: BandPath
    frequencies: NDArray[np.float64]

    @property
    def distances(self) -> NDArray[np.float64]:
        """(n_q,) length of path, 1/angstrom."""
        return self.path.distances

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the special points of the path."""
        return self.path.labels


@dataclass(frozen=True, eq=False)
class DensityOfStates:
    """Density of vibrational states of one primitive cell.

    Attributes:
        frequencies: (n,) THz.
        total: (n,) states per THz; its integral is 3 n_primitive.
        projected: element symbol -> (n,) states per THz; they add up to `total`, each with
            the integral 3 times the number of its atoms.
    """

    frequencies: NDArray[np.float64]
    total: NDArray[np.float64]
    projected: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class ThermalProperties:
    """Harmonic thermodynamics at constant volume, per primitive cell (mol: of these cells).

    Attributes:
        temperatures: (n,) K.
        free_energy: (n,) eV, Helmholtz, zero-point energy included.
        entropy: (n,) J/K/mol.
        heat_capacity: (n,) J/K/mol.
        imaginary_share: of all modes, the share that is imaginary and so left out.
    """

    temperatures: NDArray[np.float64]
    free_energy: NDArray[np.float64]
    entropy: NDArray[np.float64]
    heat_capacity: NDArray[np.float64]
    imaginary_share: float


def modes(
    crystal: HarmonicCrystal, q_points: ArrayLike, directions: ArrayLike | None = None
) -> Modes:
    """Diagonalise the dynamical matrix at `q_points` (n_q, 3), fractional.

    `directions` (n_q, 3) are those from which Gamma is come to, see `mesh_modes.solve`.
    """
    found = list(solve(crystal, q_points, directions=directions))
    n_modes = len(found[0].frequencies)
    vectors = [np.reshape(point.eigenvectors, (n_modes, n_modes)) for point in found]
    return Modes(
        np.array([point.q_point for point in found]),
        np.array([point.frequencies for point in found]),
        np.array(vectors, dtype=complex),
    )


def bands(crystal: HarmonicCrystal, path: BandPath) -> Bands:
    """Compute the frequencies along `path`, sorted at each q-point (no band connection)."""
    return Bands(path, _frequencies(crystal, path.q_points, path.directions))


def frequency_grid(
    crystals: Sequence[HarmonicCrystal], mesh: Sequence[int], sigma: float = SIGMA
) -> NDArray[np.float64]:
    """Make one grid, THz, that holds the DOS of all `crystals` on `mesh`."""
    spectra = [_frequencies(crystal, irreducible_mesh(crystal, mesh)[0]) for crystal in crystals]
    return _grid_over(np.concatenate([frequencies.ravel() for frequencies in spectra]), sigma)


def density_of_states(
    crystal: HarmonicCrystal,
    mesh: Sequence[int],
    frequencies: ArrayLike | None = None,
    sigma: float = SIGMA,
) -> DensityOfStates:
    """Sum Gaussians over the modes of a Gamma-centred mesh, in total and by element.

    Sums over the atoms of an element are the same for equivalent q-points, so only the
    irreducible ones are computed.

    Args:
        crystal: the crystal.
        mesh: (3,) q-points along the reciprocal primitive vectors.
        frequencies: (n,) THz, rising; None fits the grid to the spectrum. Give the same
            one (`frequency_grid`) to what shall be compared.
        sigma: standard deviation, THz.

    Raises:
        InputError: a grid too short or too coarse to hold all modes to 1e-3.
    """
    symbols = np.array(crystal.primitive_symbols)
    masks = {str(symbol): symbols == symbol for symbol in dict.fromkeys(symbols)}
    grid = None if frequencies is None else np.asarray(frequencies, float)
    if grid is None:
        grid = frequency_grid([crystal], mesh, sigma)
    projected = {symbol: np.zeros(len(grid)) for symbol in masks}
    points, weights = irreducible_mesh(crystal, mesh)
    for point, weight in zip(solve(crystal, points), weights, strict=True):
        shares = (np.abs(point.eigenvectors) ** 2).sum(axis=1)
        peaks = gaussians(grid, point.frequencies, sigma)
        for symbol, mask in masks.items():
            projected[symbol] += weight * (peaks @ shares[mask].sum(axis=0))
    total = np.sum(list(projected.values()), axis=0)
    _check_normalisation(grid, total, 3 * len(symbols))
    return DensityOfStates(grid, total, projected)


def thermal_properties(
    crystal: HarmonicCrystal, temperatures: ArrayLike, mesh: Sequence[int]
) -> ThermalProperties:
    """Compute free energy, entropy and heat capacity at `temperatures` (n,), K.

    The three acoustic modes at Gamma, whose frequency is zero, are left out, and so is the
    non-analytical term there, which has no direction.
    """
    points, weights = irreducible_mesh(crystal, mesh)
    frequencies = _frequencies(crystal, points)
    crystal.phonopy.run_mesh(
        list(mesh), is_gamma_center=True, is_mesh_symmetry=crystal.symmetry.is_whole
    )
    crystal.phonopy.run_thermal_properties(
        temperatures=np.atleast_1d(np.asarray(temperatures, dtype=float)),
        exclude_gamma_acoustic=True,
    )
    found = crystal.phonopy.thermal_properties
    return ThermalProperties(
        temperatures=np.array(found.temperatures),
        free_energy=np.array(found.free_energy) * KJ_PER_MOL_TO_EV,
        entropy=np.array(found.entropy),
        heat_capacity=np.array(found.heat_capacity),
        imaginary_share=float(weights @ (frequencies < IMAGINARY).mean(axis=1)),
    )


def _frequencies(
    crystal: HarmonicCrystal, q_points: ArrayLike, directions: ArrayLike | None = None
) -> NDArray[np.float64]:
    """(n_q, n_modes) THz, rising at each q-point."""
    found = solve(crystal, q_points, directions=directions, with_vectors=False)
    return np.array([point.frequencies for point in found])


def _grid_over(frequencies: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    margin = GRID_MARGIN * sigma
    low, high = frequencies.min() - margin, frequencies.max() + margin
    return np.linspace(low, high, int(np.ceil((high - low) / sigma * GRID_POINTS_PER_SIGMA)) + 1)


def gaussians(
    grid: NDArray[np.float64], centres: NDArray[np.float64], sigma: float
) -> NDArray[np.float64]:
    """(n_grid, n_centres) normalised Gaussians of standard deviation `sigma`."""
    scaled = (grid[:, None] - centres) / sigma
    return np.exp(-(scaled**2) / 2) / (sigma * np.sqrt(2 * np.pi))


def _check_normalisation(
    grid: NDArray[np.float64], total: NDArray[np.float64], n_modes: int
) -> None:
    found = float(np.trapezoid(total, grid))
    if not abs(found / n_modes - 1) <= NORMALISATION_TOLERANCE:
        raise InputError(
            f"On this frequency grid ({grid[0]:.2f} to {grid[-1]:.2f} THz, {len(grid)} points) "
            f"the DOS holds {found:.3f} of {n_modes} modes.",
            hint="Take a grid from `frequency_grid`, or none.",
            integral=found,
            n_modes=n_modes,
        )
