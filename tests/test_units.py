import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants

from forcebase.units import (
    KBAR_TO_EV_PER_A3,
    THZ_TO_CM1,
    THZ_TO_MEV,
    stress_from_kbar_pressure,
    voigt,
)

VOIGT_PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def copper(scale: float, seed: int = 1) -> Atoms:
    """A rattled fcc cell of four copper atoms, its lattice constant scaled."""
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array * scale, scale_atoms=True)
    atoms.rattle(0.03, seed=seed)
    return atoms


def stress_from_energies(atoms: Atoms, step: float = 1e-4) -> np.ndarray:
    """Stress by its definition: dE/d(strain) / volume, central differences, ASE Voigt order."""
    found = []
    for i, j in VOIGT_PAIRS:
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            strained.calc = atoms.calc
            energies.append(strained.get_potential_energy())
        found.append((energies[0] - energies[1]) / (2 * step) / atoms.get_volume())
    return np.array(found)


@pytest.mark.parametrize(
    "calculator", [EMT(), LennardJones(sigma=2.27, epsilon=0.4, rc=6, smooth=True)]
)
@pytest.mark.parametrize("scale", [0.96, 1.06])
def test_house_stress_is_the_energy_derivative(calculator, scale):
    atoms = copper(scale)
    atoms.calc = calculator
    np.testing.assert_allclose(
        voigt(atoms.get_stress(voigt=False)), stress_from_energies(atoms), atol=2e-6
    )
    diagonal = atoms.get_stress()[:3]
    assert (diagonal < 0).all() if scale < 1 else (diagonal > 0).all()


@pytest.mark.parametrize("scale", [0.96, 1.06])
def test_stress_of_a_real_atomate2_document_has_the_house_sign_and_unit(scale, tmp_path):
    from atomate2.ase.jobs import EmtRelaxMaker
    from jobflow import run_locally
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = copper(scale)
    static = EmtRelaxMaker(relax_cell=False, steps=0).make(AseAtomsAdaptor.get_structure(atoms))
    document = run_locally(static, root_dir=tmp_path, ensure_success=True)[static.uuid][1].output
    atoms.calc = EMT()
    found = stress_from_kbar_pressure(document.output.stress)
    np.testing.assert_allclose(document.output.forces, atoms.get_forces(), atol=1e-12)
    np.testing.assert_allclose(found, atoms.get_stress(), rtol=1e-10)
    np.testing.assert_allclose(found, stress_from_energies(atoms), atol=2e-6)


@settings(max_examples=50)
@given(parts=st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6))
def test_matrix_and_voigt_say_the_same(parts):
    matrix = np.zeros((3, 3))
    for (i, j), value in zip(VOIGT_PAIRS, parts, strict=True):
        matrix[i, j] = matrix[j, i] = value
    assert voigt(matrix).tolist() == parts
    assert voigt(np.array(parts)).tolist() == parts
    np.testing.assert_array_equal(
        stress_from_kbar_pressure(matrix), stress_from_kbar_pressure(parts)
    )


def test_factors_follow_from_the_constants_of_nature():
    assert pytest.approx(1e12 / (100 * constants.c), rel=1e-14) == THZ_TO_CM1
    assert pytest.approx(1e15 * constants.h / constants.e, rel=1e-9) == THZ_TO_MEV
    assert pytest.approx(1e8 / constants.e * 1e-30, rel=1e-7) == KBAR_TO_EV_PER_A3
