"""Local DOS of large cells: the kernel polynomial method against diagonalisation.

    python benchmarks/local_dos.py --model wse2-mace --json

At `--size` (12: 431 atoms) the shells around a vacancy, against all modes at Gamma; at `--large`
(58: 10,092 atoms) the species of the perfect layer, against Bloch's theorem on the same waves. The
exact density has Gaussians of the kernel's own width at each frequency, so that what is left is the
shape of the kernel and the noise of the random vectors; `noise_share` is what the standard error
makes one expect of the latter. At 431 atoms diagonalisation is the faster one; the dense matrix of
10,092 atoms is 7 GB, its time is estimated from that of the small one by the cube of the size.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from force_constants import UNIT_CELL, load, peak_memory, reset_peak_memory, structure
from forcebase.models.force_constants import compute_force_constants, sparse_force_constants
from forcebase.models.relaxation import relax
from forcebase.physics.defect_location import locate_defect
from forcebase.physics.folding import unfolded_points
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.kernel_polynomial import (
    crystal_matrix,
    dynamical_matrix,
    kernel_dos,
    resolution,
    spectral_interval,
)
from forcebase.physics.local_dos import site_groups
from forcebase.physics.mesh_modes import ROOT_TO_THZ, solve
from forcebase.physics.phonon_comparison import spectrum_errors
from forcebase.physics.shells import Shells
from machine import Conditions

GRID = np.linspace(1.0, 9.5, 900)
ENOUGH = 12
"""A perfect supercell beyond the reach of the model: any larger one has its force constants."""


def main() -> None:
    arguments = parse()
    model = load(arguments)
    unit = relax(read(UNIT_CELL), model.calculator(), 1e-6).atoms
    conditions = Conditions()
    found: dict[str, Any] = {"model_sha256": model.weights_sha256, "cutoff": arguments.cutoff}
    found |= vacancy(arguments, model, unit)
    found |= large(arguments, model, unit)
    growth = (found["large_atoms"] / found["atoms"]) ** 3
    found["large_seconds_exact_estimated"] = found["seconds_exact_at_gamma"] * growth
    found |= conditions.as_dict()
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(map(str, found.items())))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="id or name of a model in the database")
    source.add_argument("--weights", type=Path, help="a MACE model file that you trust")
    parser.add_argument("--sha256", help="digest that the weights must have")
    parser.add_argument("--size", type=int, default=12, help="a size x size vacancy cell")
    parser.add_argument("--structure", type=Path, help="a relaxed cell, instead of making one")
    parser.add_argument("--large", type=int, default=58, help="a perfect cell of this size")
    parser.add_argument("--moments", type=int, default=400)
    parser.add_argument("--vectors", type=int, default=32)
    parser.add_argument("--cutoff", type=float, default=1e-4, help="eV/angstrom^2, see the shift")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def vacancy(arguments: argparse.Namespace, model: Any, unit: Any) -> dict[str, Any]:
    atoms = structure(arguments, model, arguments.size)
    defect = locate_defect(atoms, unit)
    if defect is None:
        raise SystemExit("The structure has no vacancy: give one that has.")
    crystal = compute_force_constants(model, atoms, [1, 1, 1], n_checked_rows=0).crystal
    masks = {
        name: np.repeat(mask, 3)
        for name, mask in site_groups(atoms, defect.centre, Shells()).by_shell().items()
    }
    matrix = crystal_matrix(crystal, arguments.cutoff)
    started = time.perf_counter()
    fast = kernel_dos(matrix, masks, GRID, n_moments=arguments.moments, n_vectors=arguments.vectors)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    (modes,) = solve(crystal, np.zeros((1, 3)))
    exact_seconds = time.perf_counter() - started
    shares = (np.abs(modes.eigenvectors) ** 2).sum(axis=1)
    sigma = resolution(spectral_interval(matrix), arguments.moments, GRID)
    errors = {}
    for name, mask in masks.items():
        exact = broadened(modes.frequencies, shares[mask[::3]].sum(axis=0), sigma)
        errors[name] = described(fast.groups[name], exact, fast.errors[name])
    kept = np.linalg.eigvalsh(matrix.toarray())
    shift = np.abs(np.sign(kept) * np.sqrt(np.abs(kept)) * ROOT_TO_THZ - modes.frequencies)
    return {
        "atoms": len(atoms),
        "moments": arguments.moments,
        "vectors": arguments.vectors,
        "resolution_at_7_THz": float(np.interp(7.0, GRID, sigma)),
        "seconds_exact_at_gamma": exact_seconds,
        "seconds_kernel_polynomial": seconds,
        "ratio": exact_seconds / seconds,
        "cutoff_largest_shift_THz": float(shift[modes.frequencies > GRID[0]].max()),
        "shells": errors,
        "stored_numbers": int(matrix.nnz),
    }


def large(arguments: argparse.Namespace, model: Any, unit: Any) -> dict[str, Any]:
    reset_peak_memory()
    n = arguments.large
    started = time.perf_counter()
    sparse = sparse_force_constants(model, unit, [n, n, 1], n_checked_rows=0)
    making = time.perf_counter() - started
    atoms = sparse.supercell
    symbols = np.repeat(atoms.get_chemical_symbols(), 3)
    masks = {symbol: symbols == symbol for symbol in ("W", "Se")}
    crystal = compute_force_constants(
        model, unit, [ENOUGH, ENOUGH, 1], n_checked_rows=0, symmetrize=False
    ).crystal
    masses = dict(zip(crystal.primitive_symbols, crystal.masses, strict=True))
    every_mass = [masses[symbol] for symbol in atoms.get_chemical_symbols()]
    matrix = dynamical_matrix(sparse.matrix, every_mass, arguments.cutoff)
    started = time.perf_counter()
    fast = kernel_dos(matrix, masks, GRID, n_moments=arguments.moments, n_vectors=arguments.vectors)
    seconds, peak = time.perf_counter() - started, peak_memory()
    sigma = resolution(spectral_interval(matrix), arguments.moments, GRID)
    exact = bloch(crystal, n, sigma)
    return {
        "large_atoms": len(atoms),
        "large_seconds_force_constants": making,
        "large_seconds_kernel_polynomial": seconds,
        "large_stored_numbers": int(matrix.nnz),
        "large_peak_memory_mb": peak,
        "large_dense_matrix_mb": (3 * len(atoms)) ** 2 * 8 / 2**20,
        "large_species": {s: described(fast.groups[s], exact[s], fast.errors[s]) for s in masks},
    }


def bloch(crystal: HarmonicCrystal, n: int, sigma: np.ndarray) -> dict[str, np.ndarray]:
    """The exact density of the n x n supercell by species, from its unit cell."""
    symbols = np.array(crystal.primitive_symbols)
    frequencies, shares = [], []
    for modes in solve(crystal, unfolded_points(np.diag([n, n, 1]), (0, 0, 0))):
        frequencies.append(modes.frequencies)
        shares.append((np.abs(modes.eigenvectors) ** 2).sum(axis=1))
    every, sites = np.concatenate(frequencies), np.concatenate(shares, axis=1)
    return {s: broadened(every, sites[symbols == s].sum(axis=0), sigma) for s in ("W", "Se")}


def broadened(frequencies: np.ndarray, weights: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    density = np.zeros(len(GRID))
    width = np.where(sigma > 0, sigma, np.inf)  # no kernel beyond the end of the spectrum
    for start in range(0, len(frequencies), 2000):
        some = slice(start, start + 2000)
        apart = (GRID[:, None] - frequencies[some]) / width[:, None]
        density += np.exp(-(apart**2) / 2) @ weights[some]
    return density / (width * np.sqrt(2 * np.pi))


def described(found: np.ndarray, exact: np.ndarray, error: np.ndarray) -> dict[str, float]:
    errors = spectrum_errors(GRID, found, exact)
    states = float(np.trapezoid(exact, GRID))
    noise = np.sqrt(2 / np.pi) * float(np.trapezoid(error, GRID))  # mean size of a normal error
    return {
        "misplaced_share": errors.misplaced,
        "noise_share": noise / states,
        "wasserstein_THz": errors.wasserstein,
        "states": states,
    }


if __name__ == "__main__":
    main()
