"""A session with silicon, a Tersoff potential that labels it, a dataset and a phonon."""

from __future__ import annotations

from pathlib import Path

import ase.test
import pytest
from ase.build import bulk

from forcebase.api import Session

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


@pytest.fixture
def session(settings):
    """An empty database, connected as `fb.connect()` does."""
    opened = Session(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def silicon(new_settings):
    """Silicon as a user of Python would set it up; tests that share it only read."""
    db = Session(new_settings())
    tersoff = add_tersoff(db)
    si = db.structures.add(bulk("Si"), name="si")
    db.predict(tersoff, [db.structures.add(cell, kind="rattled") for cell in rattled(12)])
    db.datasets.build("si", method="tersoff", method_class="model", kind="rattled")
    db.phonon(tersoff, si, supercell=(2, 2, 2), name="si-phonon")
    lj = "ase.calculators.lj:LennardJones"
    db.models.add("ase", lj, elements=["Si"], name="lj", epsilon=0.4, sigma=2.1, rc=4.0)
    yield db
    db.client.drop_database(db.settings.database)
    db.close()


@pytest.fixture(scope="module")
def pair(silicon):
    """Two potentials compared on the rattled cells; the one labels them for it."""
    return silicon.compare("lj", "tersoff", on={"kind": "rattled"})
