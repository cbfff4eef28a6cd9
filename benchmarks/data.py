"""How large the forces in data/ are: a force error says little without them.

    python benchmarks/data.py --json > benchmarks/results/data.json

Of all labelled cells of data/wse2_gpaw, and of the demo's test split: mean length of the forces,
mean absolute value of their components, and the largest standard deviation of the displacements.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from forcebase.actions import build_dataset
from forcebase.database.database import Database
from forcebase.database.server import EmbeddedServer
from forcebase.ingest.importing import import_paths
from forcebase.settings import Settings

DATA = Path(__file__).parents[1] / "data" / "wse2_gpaw"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    cells = read(DATA / "wse2_gpaw_pbe.extxyz", ":")
    forces = [atoms.arrays["REF_forces"] for atoms in cells]
    found = {
        "wse2_gpaw_pbe": sizes(forces, [atoms.info["rattle_std"] for atoms in cells]),
        "test_split": test_split(),
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, numbers in found.items():
        print(f"{name:<14} {numbers}")


def sizes(forces: list[Any], rattles: list[float]) -> dict[str, float]:
    components = np.concatenate(forces)
    return {
        "cells": len(forces),
        "mean_force_eV_per_A": float(np.linalg.norm(components, axis=1).mean()),
        "mean_force_component_eV_per_A": float(np.abs(components).mean()),
        "rms_force_component_eV_per_A": float(np.sqrt((components**2).mean())),
        "largest_rattle_A": max(rattles),
    }


def test_split() -> dict[str, float]:
    """Of the dataset that `forcebase demo` makes of the folder."""
    with tempfile.TemporaryDirectory(prefix="forcebase-benchmark-") as folder:
        settings = Settings(home=Path(folder) / "home")
        db = Database(settings)
        try:
            import_paths(db, [DATA])
            dataset = build_dataset(db, "wse2-pbe", {"method_class": "dft"})
            members = db.members.find(dataset=dataset.id, split="test")
            found = db.calculations.find(id=[member.calculation for member in members])
            recipes = [db.structures.get(c.structure).recipe["parameters"] for c in found]
            return sizes([c.forces for c in found], [r["rattle_std"] for r in recipes])
        finally:
            db.close()
            EmbeddedServer(settings.home).stop()


if __name__ == "__main__":
    main()
