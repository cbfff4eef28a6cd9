"""Silicon with a Tersoff potential that comes with ASE: a model that needs no training."""

from __future__ import annotations

from pathlib import Path

import ase.test
from ase.build import bulk

TERSOFF = Path(ase.test.__file__).parent / "testdata" / "tersoff" / "SiC.tersoff"


def add_tersoff(db):
    """A model of silicon that needs no training."""
    return db.models.add(
        "ase",
        "ase.calculators.tersoff:Tersoff.from_lammps",
        weights=("potential_file", TERSOFF),
        elements=["Si", "C"],
        name="tersoff",
    )


def rattled(n):
    """Cubic cells of silicon, each a little off its sites."""
    cells = [bulk("Si", cubic=True) for _ in range(n)]
    for seed, cell in enumerate(cells):
        cell.rattle(0.06, seed=seed)
    return cells
