"""Read what flows/dft_convergence.py left in the database, and print how far settings differ.

    python benchmarks/dft_convergence.py --out benchmarks/results/dft_convergence.json

Two measures for each method (cutoff, k-spacing):

- Pulay: (E(+e) - E(-e)) / 2e against the stress integrated over the same strain by Simpson's rule,
  V tr(stress) / (1 + e) at -e, 0 and +e, so that anharmonicity cancels to the fourth order. The
  difference is given as a stress, by volume and by strained axis, meV/A^3.
- Forces of the displaced cell against those of the finest method there is: of the same cutoff and
  the smallest k-spacing (the mesh), and of the same k-spacing and the largest cutoff; largest
  difference of a component, meV/A.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

import forcebase as fb

Setting = tuple[float, float]
Cells = dict[Setting, dict[float, Atoms]]


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kind", default="convergence", help="of the structures")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with closing(fb.connect()) as db:
        cells = collect_cells(db, asked.kind)
    rows = [measured(setting, cells) for setting in sorted(cells) if 0.0 in cells[setting]]
    for row in rows:
        print("  ".join(f"{key} {value:g}" for key, value in row.items() if value is not None))
    if asked.out:
        asked.out.write_text(json.dumps({"settings": rows}, indent=2) + "\n")


def collect_cells(db: Any, kind: str) -> Cells:
    """(cutoff eV, k-spacing 1/A) -> strain -> labelled cell."""
    cells: Cells = defaultdict(dict)
    for calculation in db.calculations.find(method_class="dft", kind=kind):
        method = db.methods.get(calculation.method)
        setting = (method.basis["cutoff_eV"], calculation.k_rule["spacing_per_A"])
        structure = db.structures.get(calculation.structure)
        atoms = calculation.to_atoms(structure)
        atoms.info["wall_time"] = calculation.wall_time
        cells[setting][structure.recipe["parameters"]["strain"]] = atoms
    return cells


def measured(setting: Setting, cells: Cells) -> dict[str, float | None]:
    """Both measures of one setting."""
    cutoff, spacing = setting
    found = [cells[setting][e] for e in sorted(cells[setting])]
    middle = cells[setting][0.0]
    finest_mesh = (cutoff, min(s for c, s in cells if c == cutoff))
    largest_cutoff = (max(c for c, s in cells if s == spacing), spacing)
    return {
        "cutoff_eV": cutoff,
        "k_spacing_per_A": spacing,
        "pulay_meV_per_A3": 1000 * pulay(*found) if len(found) == 3 else None,
        "stress_meV_per_A3": 1000 * float(np.mean(middle.get_stress()[:2])),
        "force_change_with_mesh_meV_per_A": force_change(cells, setting, finest_mesh),
        "force_change_with_cutoff_meV_per_A": force_change(cells, setting, largest_cutoff),
        "wall_time_s": middle.info["wall_time"],
    }


def pulay(low: Atoms, middle: Atoms, high: Atoms) -> float:
    """Slope of the energy less the integrated stress, eV/A^3 for each strained axis."""
    atoms = [low, middle, high]
    lengths = np.array([a.cell.lengths() for a in atoms])
    strains = lengths / lengths[1] - 1
    strained = np.abs(strains[2]) > 1e-9
    e = float(strains[2][strained][0])
    work = [
        a.get_volume() * a.get_stress()[:3][strained].sum() / (1 + s)
        for a, s in zip(atoms, (-e, 0.0, e), strict=True)
    ]
    slope = (high.get_potential_energy() - low.get_potential_energy()) / (2 * e)
    integrated = (work[0] + 4 * work[1] + work[2]) / 6
    return float((slope - integrated) / atoms[1].get_volume() / strained.sum())


def force_change(cells: Cells, setting: Setting, other: Setting) -> float | None:
    """Largest difference of a force component of the displaced cell, meV/A."""
    if other == setting or 0.0 not in cells[other]:
        return None
    forces = [cells[s][0.0].get_forces() for s in (setting, other)]
    return 1000 * float(np.abs(forces[0] - forces[1]).max())


if __name__ == "__main__":
    main()
