"""How well force constants give the forces back: small displacements, large ones, no forces."""

import numpy as np
import pytest
from ase.build import bulk
from phonopy import Phonopy
from small_phonons import FCC, displaced, phonopy_atoms, solved, unpacked_case, with_forces

from forcebase.physics.force_fit import force_fit
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.phonopy_contents import from_phonopy_contents, read_phonopy_contents


def fitted(**random):
    made = solved(displaced(bulk("Cu", cubic=True), [2, 2, 2], FCC, **random))
    return HarmonicCrystal.from_phonopy(made), made


def test_residuals_of_small_displacements_are_small():
    crystal, made = fitted()
    found = force_fit(crystal, made.dataset)
    assert (found.is_random, found.n_supercells) == (False, 1)
    assert found.amplitude == pytest.approx(0.01)
    assert found.relative < 0.02
    assert found.finding() is None


def test_residuals_are_those_of_the_forces(recwarn):
    crystal, made = fitted(distance=0.3, number_of_snapshots=4, random_seed=1)
    found = force_fit(crystal, made.dataset)
    full = Phonopy(made.unitcell, made.supercell_matrix, primitive_matrix=made.primitive_matrix)
    full.dataset = made.dataset
    full.produce_force_constants(fc_calculator="symfc", show_drift=False)
    full.symmetrize_force_constants(show_drift=False)
    expected = -np.einsum("ijab,njb->nia", full.force_constants, made.displacements)
    residual = np.sqrt(np.mean((expected - made.forces) ** 2))
    assert found.residual == pytest.approx(residual, rel=1e-4)
    assert found.relative == pytest.approx(residual / np.sqrt(np.mean(made.forces**2)), rel=1e-4)
    assert (found.is_random, found.n_supercells) == (True, 4)
    assert found.amplitude == pytest.approx(0.3, rel=1e-6)
    assert found.relative > 0.1
    assert "at displacements of 0.3 angstrom" in found.finding()


def test_moments_that_are_not_told_show_in_the_residual(tmp_path):
    file = unpacked_case("phonopy_magnetic", tmp_path) / "phonopy_params.yaml"
    told = read_phonopy_contents(file)
    assert force_fit(from_phonopy_contents(told), told.dataset).relative < 0.02
    silent = read_phonopy_contents(file)
    silent.unitcell.magnetic_moments = None
    found = force_fit(from_phonopy_contents(silent), silent.dataset)
    assert found.relative > 0.1
    assert "magnetic moments" in found.finding()


def test_without_forces_there_is_no_fit():
    crystal, made = fitted()
    bare = Phonopy(phonopy_atoms(bulk("Cu", cubic=True)), [2, 2, 2])
    bare.generate_displacements(distance=0.01)
    assert force_fit(crystal, bare.dataset) is None
    assert force_fit(crystal, {}) is None
    assert with_forces(made).forces is not None
