"""Modes of a large supercell at many q-points: our solver against phonopy's mesh.

    python benchmarks/mesh_modes.py --model wse2-mace --size 12 --json

Both diagonalise the same dynamical matrices with eigenvectors, in one run, several at once by
phonopy's own batched solver. Ours uses besides that the matrices at Gamma and at the middles of the
zone's edges are real. The ratio depends on how many cores are free. The difference leaves out
frequencies below 0.1 THz, where rounding grows by the square root.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from force_constants import load, peak_memory, reset_peak_memory, structure
from forcebase.models.force_constants import compute_force_constants
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import BLOCKS_AT_ONCE, irreducible_mesh, solve
from machine import Conditions


def main() -> None:
    arguments = parse()
    model = load(arguments)
    atoms = structure(arguments, model, arguments.size)
    crystal = compute_force_constants(model, atoms, [1, 1, 1], n_checked_rows=0).crystal
    found = compare(crystal, [arguments.mesh, arguments.mesh, 1])
    found["model_sha256"] = model.weights_sha256
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(map(str, found.items())))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="id or name of a model in the database")
    source.add_argument("--weights", type=Path, help="a MACE model file that you trust")
    parser.add_argument("--sha256", help="digest that the weights must have")
    parser.add_argument("--size", type=int, default=12, help="a size x size vacancy cell")
    parser.add_argument("--structure", type=Path, help="a relaxed cell, instead of making one")
    parser.add_argument("--mesh", type=int, default=4, help="mesh x mesh x 1 q-points")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def compare(crystal: HarmonicCrystal, mesh: list[int]) -> dict[str, Any]:
    conditions = Conditions()
    points, _ = irreducible_mesh(crystal, mesh)
    crystal.phonopy.dynamical_matrix.run(points[0])  # what is made once is made before
    reset_peak_memory()
    started = time.perf_counter()
    ours = np.array([modes.frequencies for modes in solve(crystal, points)])
    seconds, peak = time.perf_counter() - started, peak_memory()
    started = time.perf_counter()
    crystal.phonopy.run_qpoints(points, with_eigenvectors=True)
    baseline = time.perf_counter() - started
    started = time.perf_counter()
    for point in points:
        crystal.phonopy.dynamical_matrix.run(point)
    matrices = time.perf_counter() - started
    started = time.perf_counter()
    for _ in solve(crystal, points, with_vectors=False):
        pass
    values_alone = time.perf_counter() - started
    started = time.perf_counter()
    for _ in solve(crystal, np.zeros((1, 3))):
        pass
    real = time.perf_counter() - started
    theirs = np.sort(np.array(crystal.phonopy.qpoints.frequencies), axis=1)
    return {
        "atoms": len(crystal.primitive_atoms),
        "modes": ours.shape[1],
        "q_points": len(points),
        "seconds_baseline": baseline,
        "seconds": seconds,
        "ratio": baseline / seconds,
        "max_abs_difference_THz": float(np.abs(ours - theirs)[np.abs(ours) > 0.1].max()),
        "peak_memory_mb": peak,
        "seconds_dynamical_matrices": matrices,
        "seconds_values_alone": values_alone,
        "seconds_real_at_gamma": real,
        "at_once": BLOCKS_AT_ONCE,
        **conditions.as_dict(),
    }


if __name__ == "__main__":
    main()
