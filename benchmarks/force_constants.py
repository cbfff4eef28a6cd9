"""Force constants of a vacancy cell: the chain rule against phonopy with ASE calls one by one.

    python benchmarks/force_constants.py --model wse2-mace --size 12 --json
    python benchmarks/force_constants.py --weights model.model --sizes 6 12 --tolerances 1e-8 1e-4

Baseline: every displaced supercell that phonopy asks for, each given to mace's ASE calculator.
`--baseline-sample` times that many of them, drawn at random, half before and half after the
analytic run, and multiplies their median by the number of all; 0 times all. Ratios of one run can
be trusted on a busy machine, seconds cannot.

The difference between the two is that of a finite displacement: it is given for central
differences at `--displacement` and at half of it, and falls by four.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import read

from forcebase.models.conversion import convert_mace
from forcebase.models.force_constants import compute_force_constants
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.relaxation import relax
from forcebase.physics.finite_displacement import Displacements, displacements
from machine import Conditions

UNIT_CELL = Path(__file__).parents[1] / "data" / "wse2_gpaw" / "wse2_gpaw_unitcell.extxyz"
SECONDS_A_JOB = 3.0
"""What jobflow-remote was measured to add to each job, beside its computation."""
WARM_UP = 3
"""Calls before the first that counts: TorchScript compiles in them."""
COMPARED = 3
"""Displacements whose forces are compared number by number."""


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    model = load(arguments)
    cases = []
    for size in arguments.sizes or [arguments.size]:
        atoms = structure(arguments, model, size)
        cases += compare(arguments, model, atoms)
    if arguments.json:
        rest = {"further": cases[1:]} if cases[1:] else {}
        print(json.dumps({**cases[0], **rest}, indent=2))
        return
    for case in cases:
        for name, value in case.items():
            print(f"{name:<36} {value}")
        print()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="id or name of a model in the database")
    source.add_argument("--weights", type=Path, help="a MACE model file that you trust")
    parser.add_argument("--sha256", help="digest that the weights must have")
    parser.add_argument("--size", type=int, default=12, help="the supercell is size x size x 1")
    parser.add_argument("--sizes", type=int, nargs="+", help="several sizes")
    parser.add_argument("--structure", type=Path, help="a relaxed cell, instead of making one")
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-8, 1e-4])
    parser.add_argument("--displacement", type=float, default=0.01, help="angstrom")
    parser.add_argument("--baseline-sample", type=int, default=10, help="calls; 0 means all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def load(arguments: argparse.Namespace) -> LoadedModel:
    if arguments.weights is not None:
        weights = arguments.weights.read_bytes()
        sha256 = hashlib.sha256(weights).hexdigest()
        if arguments.sha256 not in (None, sha256):
            raise SystemExit(f"{arguments.weights} has digest {sha256}")
        return load_mace(convert_mace(weights).neutral, sha256)
    from forcebase.cli.console import open_database

    with open_database() as db:
        model = db.require_model(arguments.model)
        return load_mace(db.blobs.get(model.neutral), model.weights)


def structure(arguments: argparse.Namespace, model: LoadedModel, size: int) -> Atoms:
    """A relaxed size x size cell without one Se of the upper side."""
    if arguments.structure is not None:
        return read(arguments.structure)
    unit = relax(read(UNIT_CELL), model.calculator(), 1e-6).atoms
    cell = unit.repeat((size, size, 1))
    heights = np.where(cell.symbols == "Se", cell.positions[:, 2].round(3), -np.inf)
    del cell[int(heights.argmax())]
    return relax(cell, model.calculator(), 1e-5).atoms


def compare(
    arguments: argparse.Namespace, model: LoadedModel, atoms: Atoms
) -> list[dict[str, Any]]:
    conditions = Conditions()
    displaced = displacements(atoms, [1, 1, 1], arguments.displacement)
    n = len(displaced.supercells)
    sample = np.arange(n)
    if arguments.baseline_sample:
        rng = np.random.default_rng(0)
        sample = rng.choice(n, size=min(arguments.baseline_sample, n), replace=False)
    calculator = model.calculator()
    for _ in range(WARM_UP):
        forces_of(displaced.supercell, calculator)
    half = len(sample) // 2
    times = [timed(displaced.supercells[i], calculator) for i in sample[:half]]
    before_peak = reset_peak_memory()
    answers = []
    for tolerance in arguments.tolerances:
        reset_peak_memory()
        started = time.perf_counter()
        found = compute_force_constants(
            model,
            atoms,
            [1, 1, 1],
            tolerance=tolerance,
            method="analytic",
            threads=arguments.threads,
        )
        answers.append((found, time.perf_counter() - started, peak_memory()))
    times += [timed(displaced.supercells[i], calculator) for i in sample[half:]]
    a_call = float(np.median(times))
    baseline, jobs = a_call * (n + 1), (a_call + SECONDS_A_JOB) * (n + 1)
    exact = answers[0][0].crystal.force_constants
    return [
        {
            "atoms": len(atoms),
            "tolerance": found.tolerance,
            "seconds_baseline": baseline,
            "seconds": seconds,
            "ratio": baseline / seconds,
            "max_abs_difference": difference(displaced, found, calculator, 1.0),
            "max_abs_difference_at_half_the_displacement": difference(
                displaced, found, calculator, 0.5
            ),
            "displacement": arguments.displacement,
            "max_abs_difference_to_first_tolerance": float(
                np.abs(found.crystal.force_constants - exact).max()
            ),
            "checked_row_error": found.check.row_error,
            "checked_probe_error": found.check.probe_error,
            "sum_rule_error": found.sum_rule_error,
            "symmetry_error": found.symmetry_error,
            "peak_memory_mb": peak,
            "memory_before_mb": before_peak,
            "displaced_supercells": n,
            "baseline_calls_timed": len(times),
            "seconds_a_call": [round(t, 3) for t in times],
            "seconds_one_job_each_estimated": jobs,
            "ratio_one_job_each_estimated": jobs / seconds,
            "seconds_by_stage": found.seconds,
            "atoms_differentiated": found.n_centers,
            "precision": found.precision,
            "channels": int(model.network.products[0].linear.irreps_out[0].mul),
            "layers": len(model.network.interactions),
            "r_max": model.r_max,
            "model_sha256": model.weights_sha256,
            "device": model.device,
            "threads": arguments.threads,
            **conditions.as_dict(),
        }
        for found, seconds, peak in answers
    ]


def timed(atoms: Atoms, calculator: Any) -> float:
    started = time.perf_counter()
    forces_of(atoms, calculator)
    return time.perf_counter() - started


def forces_of(atoms: Atoms, calculator: Any) -> np.ndarray:
    copy = atoms.copy()
    copy.calc = calculator
    return copy.get_forces()


def difference(displaced: Displacements, found: Any, calculator: Any, scale: float) -> float:
    """Largest deviation from central differences along some of phonopy's displacements."""
    constants = found.crystal.force_constants
    rest = displaced.supercell.positions
    worst = 0.0
    for cell in displaced.supercells[:: max(1, len(displaced.supercells) // COMPARED)][:COMPARED]:
        step = scale * (cell.positions - rest)
        atom = int(np.abs(step).sum(axis=1).argmax())
        length = np.linalg.norm(step[atom])
        forces = []
        for sign in (1, -1):
            moved = displaced.supercell.copy()
            moved.positions += sign * step
            forces.append(forces_of(moved, calculator))
        central = -(forces[0] - forces[1]) / (2 * length)
        analytic = np.einsum("a,jab->jb", step[atom] / length, constants[atom])
        worst = max(worst, float(np.abs(central - analytic).max()))
    return worst


def reset_peak_memory() -> float:
    """Start a new measurement of the peak, and give the one that ends; MB."""
    peak = peak_memory()
    Path("/proc/self/clear_refs").write_text("5")
    return peak


def peak_memory() -> float:
    """Peak resident memory since the last reset, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
