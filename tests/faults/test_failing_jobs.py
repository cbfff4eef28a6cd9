"""Jobs that fail for reasons of physics: records of the failure hold their own words."""

from __future__ import annotations

from dataclasses import replace

import psutil
import pytest
from ase.build import mx2
from jobflow import Flow
from pymatgen.io.ase import AseAtomsAdaptor
from waiting import wait_until

from forcebase.actions.running_here import run_here
from forcebase.blob import Blob
from forcebase.errors import CalculationError, ModelError
from forcebase.ingest.collect import collect
from forcebase.makers.gpaw import GPAWStaticMaker
from forcebase.makers.training import MACETrainMaker
from forcebase.models.training_settings import QUICK
from forcebase.remote.submission import submit


def diverging(quick_model):
    """A training whose steps are far too large."""
    weights = dict.fromkeys(("energy_weight", "forces_weight", "stress_weight"), 1e9)
    settings = replace(QUICK, lr=10.0, dtype="float32", epochs=50, **weights)
    frames: Blob = quick_model.frames.to_blob()
    candidates = {"forcebase": "candidates", "frames": frames}
    return MACETrainMaker(settings=settings).make(candidates, quick_model.selection)


def hasty():
    """A DFT calculation that is given two steps."""
    atoms = mx2("WSe2", a=3.25, thickness=3.36, vacuum=5.0)
    atoms.pbc = True
    maker = GPAWStaticMaker(cutoff=150.0, k_spacing=1.2, calculator_kwargs={"maxiter": 2})
    return maker.make(AseAtomsAdaptor.get_structure(atoms))


def reasons(db) -> dict[str, str]:
    return {found.name: found.reason for found in db.activities.find(kind="failure")}


@pytest.mark.training
def test_a_training_that_diverges_here(db, quick_model, fresh_processes):
    with pytest.raises(ModelError, match="diverged"):
        run_here(db, Flow([diverging(quick_model)]))
    assert "diverged: its loss is not a finite number" in reasons(db)["train MACE"]
    assert db.methods.count() == 0
    children = psutil.Process().children(recursive=True)
    assert not [c for c in children if "forcebase.models.mace_process" in c.cmdline()]


@pytest.mark.dft
def test_dft_that_does_not_converge_here(db):
    pytest.importorskip("gpaw")
    with pytest.raises(CalculationError, match="did not converge"):
        run_here(db, Flow([hasty()]))
    assert "did not converge" in reasons(db)["GPAW static"]
    assert db.calculations.count() == 0


@pytest.mark.remote
@pytest.mark.training
@pytest.mark.dft
def test_both_in_the_queue(site, quick_model):
    pytest.importorskip("gpaw")
    submit(site.db, Flow([diverging(quick_model), hasty()]))
    site.start_runner()
    wait_until(lambda: set(site.states().values()) == {"FAILED"})
    collect(site.db)
    found = reasons(site.db)
    assert "diverged: its loss is not a finite number" in found["train MACE"]
    assert "did not converge" in found["GPAW static"]
    listed = site.forcebase("ls", "activities", "kind=failure").stdout
    assert "diverged" in " ".join(listed.split())
    shown = site.forcebase("jobs", "--state", "failed", "--json").stdout
    assert "did not converge" in shown
