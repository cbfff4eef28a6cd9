"""The real DFT phonons of the project, for tests of what follows from them."""

from __future__ import annotations

import pytest
from ase.io import read
from small_phonons import from_phonopy_yaml


@pytest.fixture
def wse2(data_folder):
    """The relaxed unit cell, without labels."""
    atoms = read(data_folder / "wse2_gpaw_unitcell.extxyz")
    atoms.calc = None
    return atoms


@pytest.fixture(scope="session")
def pristine(data_folder):
    """WSe2 in a 3x3 supercell, PBE."""
    return from_phonopy_yaml(data_folder / "phonopy_wse2_gpaw_3x3.yaml")


@pytest.fixture(scope="session")
def vacancy(data_folder):
    """A 2x2 cell of WSe2 with a selenium vacancy at (1/3, 1/6), PBE."""
    folder = data_folder.parent / "wse2_gpaw_vacancy"
    return from_phonopy_yaml(folder / "phonopy_wse2_gpaw_vacancy_2x2.yaml")
