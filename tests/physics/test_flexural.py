from __future__ import annotations

import numpy as np
import pytest
from ase.io import read

from forcebase.models.force_constants import compute_force_constants
from forcebase.models.relaxation import relax
from forcebase.physics.flexural import flexural_branch


@pytest.fixture(scope="module")
def sheets(quick_model, data_folder):
    """The relaxed layer of a real model in supercells smaller and larger than its reach."""
    model = quick_model.load()
    cell = read(data_folder / "wse2_gpaw_unitcell.extxyz")
    atoms = relax(cell, model.calculator(), fmax=1e-7, max_steps=200).atoms
    return {
        n: compute_force_constants(model, atoms, np.diag([n, n, 1]), n_checked_rows=0).crystal
        for n in (3, 8)
    }


def test_a_sheet_bends_quadratically_once_the_supercell_holds_all_forces(sheets):
    """The energy does not change when a sheet is turned, if no force is cut off."""
    assert flexural_branch(sheets[8]).exponent == pytest.approx(2.0, abs=0.1)
    assert flexural_branch(sheets[3]).exponent < 1.7
