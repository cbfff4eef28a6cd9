"""A session with silicon, a Tersoff potential that labels it, a dataset and a phonon."""

from __future__ import annotations

import pytest
from ase.build import bulk
from silicon_models import add_tersoff, rattled

from forcebase.api import Session


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
