"""How large the forces in data/ are: a force error says little without them.

    python benchmarks/data.py --json > benchmarks/results/data.json

Of all labelled cells of data/wse2_gpaw: mean length of the forces, mean absolute value of their
components, and the largest standard deviation of the displacements. Of a test split, the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read

from forcebase.database.database import Database
from forcebase.records import Dataset

DATA = Path(__file__).parents[1] / "data" / "wse2_gpaw"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    cells = read(DATA / "wse2_gpaw_pbe.extxyz", ":")
    forces = [atoms.arrays["REF_forces"] for atoms in cells]
    rattles = [atoms.info["rattle_std"] for atoms in cells]
    found = {"wse2_gpaw_pbe": sizes(forces, rattles)}
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


def sizes_of_split(db: Database, dataset: Dataset, split: str = "test") -> dict[str, float]:
    """The same of one split of a dataset; cells that were not displaced at random count as 0."""
    members = db.members.find(dataset=dataset.id, split=split)
    found = db.calculations.find(id=[member.calculation for member in members])
    recipes = [dict(db.structures.get(c.structure).recipe) for c in found]
    rattles = [(recipe.get("parameters") or {}).get("rattle_std", 0.0) for recipe in recipes]
    return sizes([calculation.forces for calculation in found], rattles)


if __name__ == "__main__":
    main()
