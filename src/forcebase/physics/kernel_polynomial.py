"""Local density of states of very large cells, without diagonalisation.

The kernel polynomial method expands the spectral function of a sparse matrix in Chebyshev
polynomials, damped by Jackson's kernel: Weisse, Wellein, Alvermann and Fehske, Rev. Mod. Phys. 78,
275 (2006). Its cost grows with the number of stored force constants, its memory with a few blocks
of vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array, eye_array, issparse, sparray
from scipy.sparse.linalg import eigsh

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import ROOT_TO_THZ

CUTOFF = 1e-6
"""eV/angstrom^2; dropping smaller force constants moved no mode of a 431-atom cell by 1e-6 THz."""

MARGIN = 0.05
"""Relative; the spectrum is put so far inside the interval of the polynomials."""

EDGE = 1e-6
"""Relative; the Chebyshev weight diverges at the interval's ends, where no mode lies. Nearer to
them rounding alone would decide the density, so it is zero there."""

BLOCK = 32
"""Vectors that are multiplied at the same time."""

N_MOMENTS = 1500
N_VECTORS = 24


@dataclass(frozen=True, eq=False)
class KernelDOS:
    """Local densities of states by the kernel polynomial method.

    Attributes:
        frequencies: (n,) THz, positive.
        groups: name -> (n,) states per THz of all its degrees of freedom.
        errors: name -> (n,) standard error of the stochastic trace, states per THz; zero where
            the trace was exact.
        imaginary: name -> states with imaginary frequency, which the density leaves out. Modes
            nearer to zero than the kernel is wide count in part: acoustic ones at Gamma by half.
        resolution: (n,) THz, standard deviation of the kernel at each frequency.
    """

    frequencies: NDArray[np.float64]
    groups: dict[str, NDArray[np.float64]]
    errors: dict[str, NDArray[np.float64]]
    imaginary: dict[str, float]
    resolution: NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """The interval of eigenvalues that is mapped onto -1..1, eV/angstrom^2/amu."""

    low: float
    high: float

    @property
    def centre(self) -> float:
        """Its middle."""
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        """Half its length."""
        return (self.high - self.low) / 2


def dynamical_matrix(
    force_constants: sparray | ArrayLike, masses: ArrayLike, cutoff: float = CUTOFF
) -> csr_array:
    """Make the sparse dynamical matrix at Gamma of a supercell.

    Args:
        force_constants: (3 n, 3 n) sparse, or dense (n, n, 3, 3), eV/angstrom^2.
        masses: (n,) amu.
        cutoff: force constants smaller than this are dropped, eV/angstrom^2.

    Returns:
        (3 n, 3 n) eV/angstrom^2/amu, made symmetric.

    Raises:
        InputError: force constants of another number of atoms than the masses.
    """
    scale = np.repeat(1 / np.sqrt(np.asarray(masses, dtype=float)), 3)
    size = len(scale)
    sparse = issparse(force_constants)
    given: Any = force_constants if sparse else np.asarray(force_constants, dtype=float)
    expected = (size, size) if sparse else (size // 3, size // 3, 3, 3)
    if given.shape != expected:
        raise InputError(
            f"Force constants of shape {given.shape} do not fit {size // 3} masses, "
            f"which need {expected}.",
            hint="Give those of the whole supercell; `crystal_matrix` spreads compact ones.",
        )
    matrix = csr_array(given if sparse else given.transpose(0, 2, 1, 3).reshape(size, size))
    matrix = csr_array(matrix, copy=True)  # the caller's is left as it was
    matrix.data[np.abs(matrix.data) < cutoff] = 0.0
    matrix.eliminate_zeros()
    weighted = diags_array(scale) @ matrix @ diags_array(scale)
    return csr_array((weighted + weighted.T) / 2)


def crystal_matrix(crystal: HarmonicCrystal, cutoff: float = CUTOFF) -> csr_array:
    """Make the sparse dynamical matrix at Gamma of a crystal's supercell.

    Compact force constants are spread over the supercell by translation; sites run as in
    `crystal.supercell_atoms`.
    """
    from phonopy.harmonic.force_constants import compact_fc_to_full_fc

    full = compact_fc_to_full_fc(crystal.phonopy.primitive, crystal.force_constants)
    return dynamical_matrix(full, crystal.supercell_atoms.get_masses(), cutoff)


def kernel_dos(
    matrix: csr_array,
    groups: Mapping[str, ArrayLike],
    frequencies: ArrayLike,
    *,
    n_moments: int = N_MOMENTS,
    n_vectors: int = N_VECTORS,
    seed: int = 0,
    on_group: Callable[[int, int], None] = lambda done, total: None,
) -> KernelDOS:
    """Compute the local density of states of each group of degrees of freedom.

    A group of at most `n_vectors` degrees of freedom is traced exactly, with unit vectors; a
    larger one by vectors of random signs on it.

    Args:
        matrix: (3 n, 3 n) symmetric, from `dynamical_matrix`.
        groups: name -> mask (3 n,) of degrees of freedom; x, y, z of a site run together.
        frequencies: (m,) THz, positive.
        n_moments: of the expansion: the resolution is about pi over it, of the spectral width in
            squared frequency.
        n_vectors: of a stochastic trace.
        seed: of the random signs.
        on_group: told of (groups done, in all).

    Raises:
        InputError: a group that is empty or of another size than the matrix, frequencies that
            are not positive, or too few moments or vectors.
    """
    grid = np.asarray(frequencies, dtype=float)
    if not (grid > 0).all():
        raise InputError("The kernel polynomial method needs frequencies above zero.")
    if min(n_moments, n_vectors) < 2:
        raise InputError(
            f"{n_moments} moments and {n_vectors} vectors are too few.",
            hint="Two vectors are the least that have a statistical error; 24 are usual.",
        )
    chosen = {name: _degrees_of_freedom(name, mask, matrix) for name, mask in groups.items()}
    interval = spectral_interval(matrix)
    random = np.random.default_rng(seed)
    densities, errors, imaginary = {}, {}, {}
    for done, (name, group) in enumerate(chosen.items()):
        vectors = _vectors(matrix.shape[0], group, n_vectors, random)
        exact = len(group) <= n_vectors
        moments = _moments(matrix, interval, vectors, n_moments)
        samples = _density(moments, interval, grid)
        below = _below_zero(moments, interval)
        share = 1.0 if exact else 1 / samples.shape[1]
        densities[name] = samples.sum(axis=1) * share
        imaginary[name] = float(below.sum() * share)
        spread = 0.0 if exact else samples.std(axis=1, ddof=1) / np.sqrt(samples.shape[1])
        errors[name] = np.broadcast_to(spread, grid.shape).copy()
        on_group(done + 1, len(groups))
    return KernelDOS(grid, densities, errors, imaginary, resolution(interval, n_moments, grid))


def spectral_interval(matrix: csr_array) -> Interval:
    """Find the smallest and largest eigenvalue by Lanczos' method, with a margin."""
    high = _largest(matrix)
    # The smallest are clustered around zero: they come safely as the largest of the mirror image.
    low = high - _largest(csr_array(high * eye_array(matrix.shape[0]) - matrix))
    margin = MARGIN * (high - low)
    return Interval(low - margin, high + margin)


def _largest(matrix: csr_array) -> float:
    start = np.random.default_rng(0).normal(size=matrix.shape[0])
    found = eigsh(matrix, k=1, which="LA", tol=1e-6, v0=start, return_eigenvectors=False)
    return float(found[0])


def resolution(
    interval: Interval, n_moments: int, frequencies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(m,) THz, standard deviation of Jackson's kernel at each frequency."""
    x = (_eigenvalue(frequencies) - interval.centre) / interval.half
    sigma = np.pi / n_moments * np.sqrt(np.clip(1 - x**2, 0, None)) * interval.half
    return sigma * ROOT_TO_THZ**2 / (2 * frequencies)


def jackson(n_moments: int) -> NDArray[np.float64]:
    """(n_moments,) damping factors of Jackson's kernel, eq. 71 of the review."""
    n = np.arange(n_moments)
    angle = np.pi / (n_moments + 1)
    return ((n_moments - n + 1) * np.cos(angle * n) + np.sin(angle * n) / np.tan(angle)) / (
        n_moments + 1
    )


def _degrees_of_freedom(name: str, mask: ArrayLike, matrix: csr_array) -> NDArray[np.int64]:
    """Numbers of the degrees of freedom in a group."""
    flags = np.asarray(mask, dtype=bool)
    if flags.shape != matrix.shape[:1]:
        raise InputError(
            f"The mask of group {name!r} has the shape {flags.shape}, the matrix "
            f"{matrix.shape[0]} degrees of freedom.",
            hint="Give one entry for each of x, y, z of each site: np.repeat(sites, 3).",
        )
    if not flags.any():
        raise InputError(f"The group {name!r} holds no degree of freedom.")
    return np.flatnonzero(flags)


def _vectors(
    size: int, chosen: NDArray[np.int64], n_vectors: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """(size, k) unit vectors of the chosen degrees of freedom, or random signs on them."""
    if len(chosen) <= n_vectors:
        vectors = np.zeros((size, len(chosen)))
        vectors[chosen, np.arange(len(chosen))] = 1.0
        return vectors
    vectors = np.zeros((size, n_vectors))
    vectors[chosen] = random.choice([-1.0, 1.0], size=(len(chosen), n_vectors))
    return vectors


def _moments(
    matrix: csr_array, interval: Interval, vectors: NDArray[np.float64], n_moments: int
) -> NDArray[np.float64]:
    """(n_moments, k) of <v|T_n|v>, two for each product, as T_2n = 2 T_n^2 - 1."""
    moments = np.empty((n_moments + 1, vectors.shape[1]))
    for start in range(0, vectors.shape[1], BLOCK):
        columns = slice(start, start + BLOCK)
        first = vectors[:, columns]
        before, now = first, _scaled(matrix, interval, first)
        zeroth, one = (first * first).sum(axis=0), (first * now).sum(axis=0)
        moments[0, columns], moments[1, columns] = zeroth, one
        for n in range(1, (n_moments + 1) // 2):
            before, now = now, 2 * _scaled(matrix, interval, now) - before
            moments[2 * n, columns] = 2 * (before * before).sum(axis=0) - zeroth
            moments[2 * n + 1, columns] = 2 * (now * before).sum(axis=0) - one
    return moments[:n_moments]


def _scaled(
    matrix: csr_array, interval: Interval, vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (matrix @ vectors - interval.centre * vectors) / interval.half


def _density(
    moments: NDArray[np.float64], interval: Interval, frequencies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(m, k) states per THz; dN/df is 2 f / ROOT_TO_THZ^2 times that of the squared frequency."""
    damped = moments * jackson(len(moments))[:, None]
    x = (_eigenvalue(frequencies) - interval.centre) / interval.half
    inside = np.abs(x) < 1 - EDGE
    angle = np.arccos(np.where(inside, x, 0.0))
    orders = np.arange(len(moments))
    cosines = np.cos(np.outer(angle, orders))
    series = damped[0] + 2 * cosines[:, 1:] @ damped[1:]
    weight = np.where(inside, 1 / (np.pi * np.sin(angle)), 0.0) / interval.half
    return series * (weight * 2 * frequencies / ROOT_TO_THZ**2)[:, None]


def _below_zero(moments: NDArray[np.float64], interval: Interval) -> NDArray[np.float64]:
    """(k,) weight of negative eigenvalues: the series, integrated from -1."""
    damped = moments * jackson(len(moments))[:, None]
    angle = np.arccos(np.clip(-interval.centre / interval.half, -1, 1))
    orders = np.arange(1, len(moments))
    terms = np.sin(orders * angle) / orders
    return ((np.pi - angle) * damped[0] - 2 * terms @ damped[1:]) / np.pi


def _eigenvalue(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    return (frequencies / ROOT_TO_THZ) ** 2
