"""Labels of many small structures: batches, against the ASE loop and mace_eval_configs.

    python benchmarks/prediction.py --weights model.model --json
    python benchmarks/prediction.py --model wse2-mace --configurations 200

All three load the same weights in float64, and give energies, forces and stress of the same rattled
and strained cells of 3 and 12 atoms. Loading the model and files are not counted; positions that
mace_eval_configs reads from one have 8 decimals. The three take turns on pieces of the set, so that
what else runs on the machine meets all alike: trust the ratios of one run, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.io import read, write

from forcebase.digest import bytes_digest
from forcebase.frames import Frames
from forcebase.models.conversion import convert_mace
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import LoadedModel, load_mace
from forcebase.models.third_party.engine import Labels
from machine import Conditions

UNIT_CELL = Path(__file__).parents[1] / "data" / "wse2_gpaw" / "wse2_gpaw_unitcell.extxyz"
PIECES = 10
EVAL_BATCH = 64
"""What mace_eval_configs takes when it is not told otherwise."""
VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))


def main() -> None:
    arguments = parse()
    torch.set_num_threads(1)
    conditions = Conditions()
    weights = read_weights(arguments)
    model = load_mace(convert_mace(weights).neutral, bytes_digest(weights))
    structures = draw(arguments.configurations)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.model"
        path.write_bytes(weights)
        ways: dict[str, Callable[[list[Atoms]], tuple[Labels, float]]] = {
            "batches": lambda cells: in_batches(cells, model),
            "ase_loop": lambda cells: one_by_one(cells, model),
            "mace_eval_configs": lambda cells: by_mace(cells, path, Path(folder)),
        }
        answer = {**measure(ways, structures), **conditions.as_dict()}
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return
    for name, value in answer.items():
        print(f"{name:<40} {value}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="id or name of a model in the database")
    source.add_argument("--weights", type=Path, help="a MACE model file that you trust")
    parser.add_argument("--configurations", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def read_weights(arguments: argparse.Namespace) -> bytes:
    if arguments.weights is not None:
        return arguments.weights.read_bytes()
    from forcebase.cli.console import open_database

    with open_database() as db:
        return db.blobs.get(db.require_model(arguments.model).weights)


def draw(n: int) -> list[Atoms]:
    """Unit cells and 2x2 cells in turns, strained by up to 2 % in the plane and rattled."""
    rng = np.random.default_rng(0)
    unit = read(UNIT_CELL)
    drawn = []
    for i in range(n):
        atoms = unit.repeat((2, 2, 1) if i % 2 else (1, 1, 1))
        strain = np.eye(3)
        strain[:2, :2] += rng.uniform(-0.02, 0.02, size=(2, 2))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.positions += rng.normal(scale=0.05, size=(len(atoms), 3))
        atoms.pbc = True
        drawn.append(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True))
    return drawn


def measure(
    ways: dict[str, Callable[[list[Atoms]], tuple[Labels, float]]], structures: list[Atoms]
) -> dict[str, Any]:
    for way in ways.values():  # TorchScript compiles in the first calls
        for _ in range(3):
            way(structures[:4])
    seconds = dict.fromkeys(ways, 0.0)
    units = {"energies": "eV", "forces": "eV_per_A", "stresses": "eV_per_A3"}
    apart: dict[str, float] = {}
    pieces = [structures[i::PIECES] for i in range(PIECES)]
    for turn, piece in enumerate(pieces):
        names = list(ways)[turn % 3 :] + list(ways)[: turn % 3]
        found = {}
        for name in names:
            found[name], spent = ways[name](piece)
            seconds[name] += spent
        for other in ("ase_loop", "mace_eval_configs"):
            for field, unit in units.items():
                key = f"{field}_{unit}_to_{other}"
                difference = getattr(found["batches"], field) - getattr(found[other], field)
                apart[key] = max(apart.get(key, 0.0), float(np.abs(difference).max()))
    return {
        "configurations": len(structures),
        "atoms": sum(map(len, structures)),
        **{f"seconds_{name}": spent for name, spent in seconds.items()},
        "ratio_to_ase_loop": seconds["ase_loop"] / seconds["batches"],
        "ratio_to_mace_eval_configs": seconds["mace_eval_configs"] / seconds["batches"],
        **{f"largest_difference_{key}": value for key, value in apart.items()},
        "torch_threads": torch.get_num_threads(),
    }


def in_batches(cells: list[Atoms], model: LoadedModel) -> tuple[Labels, float]:
    started = time.perf_counter()
    frames = Frames.from_atoms(cells, ids=[str(i) for i in range(len(cells))])
    found = evaluate(frames, model).frames
    spent = time.perf_counter() - started
    return Labels(found.energies, found.forces, found.stresses), spent


def one_by_one(cells: list[Atoms], model: LoadedModel) -> tuple[Labels, float]:
    calculator = model.calculator()
    started = time.perf_counter()
    energies, forces, stresses = [], [], []
    for cell in cells:
        atoms = cell.copy()
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces())
        stresses.append(atoms.get_stress())
    spent = time.perf_counter() - started
    return Labels(np.array(energies), np.concatenate(forces), np.array(stresses)), spent


def by_mace(cells: list[Atoms], weights: Path, folder: Path) -> tuple[Labels, float]:
    """MACE's own program, in this process; loading, reading and writing are taken off."""
    from mace.cli import eval_configs

    source, target = folder / "in.xyz", folder / "out.xyz"
    write(source, cells, format="extxyz")
    given = {"configs": source, "model": weights, "output": target, "batch_size": EVAL_BATCH}
    options = [f"--{name}={value}" for name, value in given.items()]
    arguments = parse_eval([*options, "--default_dtype=float64", "--compute_stress"])
    overhead = 0.0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal overhead
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                overhead += time.perf_counter() - begun

        return call

    places = ((eval_configs.torch, "load"), (eval_configs.ase.io, "read"))
    places += ((eval_configs.ase.io, "write"),)
    before = [getattr(module, name) for module, name in places]
    try:
        for (module, name), function in zip(places, before, strict=True):
            setattr(module, name, timed(function))
        started = time.perf_counter()
        eval_configs.run(arguments)
        spent = time.perf_counter() - started - overhead
    finally:
        for (module, name), function in zip(places, before, strict=True):
            setattr(module, name, function)
    written = read(target, ":")
    return (
        Labels(
            np.array([atoms.info["MACE_energy"] for atoms in written]),
            np.concatenate([atoms.arrays["MACE_forces"] for atoms in written]),
            np.array([np.asarray(atoms.info["MACE_stress"])[VOIGT] for atoms in written]),
        ),
        spent,
    )


def parse_eval(options: list[str]) -> argparse.Namespace:
    """Have mace_eval_configs read its own options, which it takes from the command line only."""
    import sys

    from mace.cli import eval_configs

    before = sys.argv
    try:
        sys.argv = ["mace_eval_configs", *options]
        return eval_configs.parse_args()
    finally:
        sys.argv = before


if __name__ == "__main__":
    main()
