"""The vibrations of a defect cell beside those of the perfect supercell, site by site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from forcebase.errors import InputError
from forcebase.physics.band_path import DENSITY, BandPath, band_path
from forcebase.physics.flexural import flexural_branch
from forcebase.physics.folding import folded_frequencies, folded_mesh
from forcebase.physics.harmonic_crystal import HarmonicCrystal, as_atoms, bare_phonopy
from forcebase.physics.local_dos import (
    SiteDOS,
    SiteGroups,
    layer_normal,
    site_dos,
    site_groups,
    site_shares,
)
from forcebase.physics.localisation import (
    LocalisedMode,
    inverse_participation_ratio,
    localised_modes,
    shell_weights,
)
from forcebase.physics.mesh_modes import solve
from forcebase.physics.periodicity import kpoint_mesh, vacuum_axes
from forcebase.physics.shells import Shells, misfit
from forcebase.physics.vibrations import (
    GRID_MARGIN,
    GRID_POINTS_PER_SIGMA,
    IMAGINARY,
    SIGMA,
    frequency_grid,
)

Q_SPACING = 0.05
"""1/angstrom, between q-points of the local DOS; 3x3x1 in a 12x12 supercell of a 3.3 A layer."""

FLEXURAL_TOLERANCE = 0.1
"""How far the fitted exponent of the flexural branch may be from 2."""

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class GammaModes:
    """Modes at Gamma of the supercell, where every commensurate wave of it stands.

    Attributes:
        frequencies: (n_modes,) THz, rising; imaginary ones negative.
        eigenvectors: (n_sites, 3, n_modes).
        participation: (n_modes,) sites that a mode lives on, 1 / inverse participation ratio.
        weights: (n_shells, n_modes) share in each shell.
    """

    frequencies: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]
    participation: NDArray[np.float64]
    weights: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LocalBands:
    """Bands along a path with each state's share in the shells.

    Attributes:
        path: q-points of the supercell's Brillouin zone.
        frequencies: (n_q, n_modes) THz, rising at each q-point.
        weights: (n_q, n_modes, n_shells); the sum over shells is 1.
        pristine: (n_q, 3 n_perfect) THz, the folded bands of the perfect supercell.
    """

    path: BandPath
    frequencies: NDArray[np.float64]
    weights: NDArray[np.float64]
    pristine: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DefectSpectra:
    """Vibrations of one supercell with and without its defect, on the same q-points and grid.

    Attributes:
        name: of the defect, as "v_Se".
        supercell_matrix: (3, 3) of the perfect supercell over the unit cell.
        centre: (3,) fractional place of the defect in both cells.
        atoms: the relaxed defect cell; sites are numbered as here.
        perfect: the perfect supercell.
        groups: the defect cell's sites by shell, element and side.
        perfect_groups: the perfect supercell's, around the same place.
        mesh: (3,) q-points of the supercell's Brillouin zone behind the densities of states.
        sigma: of their Gaussians, THz.
        dos: of the defect cell's sites.
        perfect_dos: of the perfect supercell's sites, on the same frequencies.
        gamma: modes at Gamma of the defect cell.
        localised: of these, the levels that belong to the defect.
        bands: along a path; None where they were not asked for.
        flexural_exponent: of the perfect crystal's ZA branch near Gamma: 2 for a free sheet, 1
            where the supercell cuts forces off; None where there is no such branch.
        findings: what is to be known before the numbers are trusted, in words and numbers.
    """

    name: str
    supercell_matrix: NDArray[np.int64]
    centre: NDArray[np.float64]
    atoms: Atoms
    perfect: Atoms
    groups: SiteGroups
    perfect_groups: SiteGroups
    mesh: tuple[int, int, int]
    sigma: float
    dos: SiteDOS
    perfect_dos: SiteDOS
    gamma: GammaModes
    localised: tuple[LocalisedMode, ...]
    bands: LocalBands | None
    flexural_exponent: float | None
    findings: tuple[str, ...]

    @property
    def size(self) -> str:
        """The supercell as "12x12", or "2x2x2"."""
        repeats = [int(n) for n in np.diag(self.supercell_matrix)]
        layer = sum(vacuum_axes(self.perfect.cell.array, self.perfect.positions)) == 1
        kept = repeats[:2] if layer and repeats[2] == 1 else repeats
        return "x".join(str(n) for n in kept)


def defect_spectra(
    defective: HarmonicCrystal,
    pristine: HarmonicCrystal,
    supercell_matrix: ArrayLike,
    centre: ArrayLike,
    *,
    name: str = "defect",
    shells: Shells | None = None,
    sigma: float = SIGMA,
    q_spacing: float = Q_SPACING,
    n_path: int | None = 48,
    on_step: Progress = lambda stage, done, total: None,
) -> DefectSpectra:
    """Compute local densities of states, modes at Gamma and bands of a defect cell.

    Args:
        defective: the supercell with the defect, as its own primitive cell.
        pristine: the perfect crystal, its unit cell primitive.
        supercell_matrix: (3, 3) of diagonal form, the defect's supercell over the unit cell.
        centre: (3,) fractional place of the defect in the supercell.
        name: of the defect.
        shells: around it.
        sigma: of the Gaussians, THz.
        q_spacing: of the mesh, 1/angstrom.
        n_path: about so many q-points of bands, along the usual path of the lattice; None
            leaves them out.
        on_step: told of (stage, q-points done, in all).

    Raises:
        InputError: the two are not one supercell with and without a defect.
    """
    shells = shells or Shells()
    matrix = np.asarray(supercell_matrix, dtype=np.int64)
    atoms, (perfect, site_of) = defective.primitive_atoms, _perfect_supercell(pristine, matrix)
    _check_same_lattice(atoms, pristine.primitive_cell, matrix)
    groups = site_groups(atoms, centre, shells)
    perfect_groups = site_groups(perfect, centre, shells)
    vacuum = vacuum_axes(atoms.cell.array, atoms.positions)
    mesh = kpoint_mesh(atoms.cell.array, q_spacing, vacuum)
    gamma = _gamma_modes(defective, groups)
    grid = _grid(gamma.frequencies, pristine, folded_mesh(matrix, mesh), sigma)
    perfect_dos = site_dos(pristine, folded_mesh(matrix, mesh), grid, sigma)
    dos = site_dos(
        defective, mesh, grid, sigma, on_point=lambda n, total: on_step("local DOS", n, total)
    )
    bands = None
    if n_path:
        bands = _bands(defective, pristine, matrix, groups, n_path, on_step)
    normal = layer_normal(atoms)
    exponent = _flexural_exponent(pristine)
    return DefectSpectra(
        name=name,
        supercell_matrix=matrix,
        centre=np.asarray(centre, dtype=float),
        atoms=atoms,
        perfect=perfect,
        groups=groups,
        perfect_groups=perfect_groups,
        mesh=mesh,
        sigma=sigma,
        dos=dos,
        perfect_dos=perfect_dos.spread(site_of),
        gamma=gamma,
        localised=tuple(localised_modes(gamma.frequencies, gamma.eigenvectors, groups, normal)),
        bands=bands,
        flexural_exponent=exponent,
        findings=_findings(atoms, shells, gamma.frequencies, exponent),
    )


def _perfect_supercell(
    pristine: HarmonicCrystal, matrix: NDArray[np.int64]
) -> tuple[Atoms, NDArray[np.int64]]:
    """The perfect supercell, and the primitive atom that each of its sites repeats."""
    made = bare_phonopy(
        pristine.numbers, pristine.cell, pristine.positions, pristine.masses, matrix, np.eye(3)
    )
    site_of = np.array([made.primitive.p2p_map[i] for i in made.primitive.s2p_map])
    return as_atoms(made.supercell), site_of


def _check_same_lattice(atoms: Atoms, unit_cell: Array, matrix: NDArray[np.int64]) -> None:
    """A small cell may relax by far: it is the wrong one where another number fits better."""
    repeats = np.linalg.solve(unit_cell.T, atoms.cell.array.T)
    if np.abs(repeats - matrix).max() >= 0.5:
        raise InputError(
            f"The defect cell is {np.diag(repeats).round(2).tolist()} times as long as the unit "
            f"cell, not {np.diag(matrix).tolist()} times.",
            hint="Give the pristine phonon and supercell that the defect was made from.",
        )


def _gamma_modes(crystal: HarmonicCrystal, groups: SiteGroups) -> GammaModes:
    (modes,) = solve(crystal, np.zeros((1, 3)))
    shares = (np.abs(modes.eigenvectors) ** 2).sum(axis=1)
    return GammaModes(
        frequencies=modes.frequencies,
        eigenvectors=np.real(modes.eigenvectors),
        participation=1 / inverse_participation_ratio(shares),
        weights=shell_weights(shares, groups),
    )


def _grid(
    gamma: NDArray[np.float64], pristine: HarmonicCrystal, mesh: Sequence[int], sigma: float
) -> NDArray[np.float64]:
    """One frequency grid for both sides; the dispersion of a supercell's bands is its margin."""
    perfect = frequency_grid([pristine], mesh, sigma)
    margin = (GRID_MARGIN + 4) * sigma
    low, high = min(perfect[0], gamma[0] - margin), max(perfect[-1], gamma[-1] + margin)
    return np.linspace(low, high, int(np.ceil((high - low) / sigma * GRID_POINTS_PER_SIGMA)) + 1)


def _bands(
    defective: HarmonicCrystal,
    pristine: HarmonicCrystal,
    matrix: NDArray[np.int64],
    groups: SiteGroups,
    n_path: int,
    on_step: Progress,
) -> LocalBands:
    lattice = defective.primitive_cell
    vacuum = vacuum_axes(lattice, defective.primitive_atoms.positions)
    usual = band_path(lattice, vacuum)
    path = band_path(lattice, vacuum, DENSITY * n_path / len(usual.q_points))
    normal = layer_normal(defective.primitive_atoms)
    frequencies, weights = [], []
    for done, modes in enumerate(solve(defective, path.q_points)):
        shares = site_shares(modes.eigenvectors, normal).sum(axis=1)
        frequencies.append(modes.frequencies)
        weights.append(shell_weights(shares, groups).T)
        on_step("bands", done + 1, len(path.q_points))
    folded = folded_frequencies(pristine, matrix, path.q_points)
    return LocalBands(path, np.array(frequencies), np.array(weights), folded)


def _flexural_exponent(pristine: HarmonicCrystal) -> float | None:
    try:
        return flexural_branch(pristine).exponent
    except InputError:  # no layer, or one that buckles: imaginary modes are told elsewhere
        return None


def _findings(
    atoms: Atoms, shells: Shells, gamma: NDArray[np.float64], exponent: float | None
) -> tuple[str, ...]:
    findings = []
    if text := misfit(atoms, shells):
        findings.append(text)
    imaginary = gamma[gamma < IMAGINARY]
    if len(imaginary):
        findings.append(
            f"{len(imaginary)} imaginary modes at Gamma, the largest {-imaginary.min():.3f}i THz"
        )
    if exponent is not None and abs(exponent - 2) > FLEXURAL_TOLERANCE:
        findings.append(
            f"the flexural branch of the perfect sheet goes with the power {exponent:.2f} of the "
            "wave vector, not 2: its supercell cuts forces off, or it is under stress"
        )
    return tuple(findings)
