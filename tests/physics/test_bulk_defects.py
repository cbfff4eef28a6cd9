"""A vacancy in a bulk crystal, with forces of ASE's EMT."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from forcebase.physics.defect_spectra import defect_spectra
from forcebase.physics.harmonic_crystal import HarmonicCrystal

REPEATS = 2 * np.eye(3, dtype=int)


def crystal(atoms, repeats):
    """Force constants of finite displacements."""
    given = PhonopyAtoms(atoms.symbols, cell=atoms.cell, positions=atoms.positions)
    made = Phonopy(given, supercell_matrix=repeats, primitive_matrix=np.eye(3))
    made.generate_displacements(distance=0.01)
    forces = []
    for cell in made.supercells_with_displacements:
        displaced = Atoms(cell.symbols, cell=cell.cell, positions=cell.positions, pbc=True)
        displaced.calc = EMT()
        forces.append(displaced.get_forces())
    made.forces = forces
    made.produce_force_constants()
    made.symmetrize_force_constants()
    return HarmonicCrystal.from_phonopy(made)


@pytest.fixture(scope="module")
def perfect():
    return bulk("Al", "fcc", a=3.994)


def test_bands_of_a_bulk_vacancy_go_along_the_path_of_its_lattice(perfect):
    vacancy = perfect.repeat((2, 2, 2))
    del vacancy[0]
    defective = crystal(vacancy, np.eye(3, dtype=int))
    host = crystal(perfect, REPEATS)
    spectra = defect_spectra(defective, host, REPEATS, (0, 0, 0), sigma=0.3, q_spacing=1.0)
    bands = spectra.bands
    assert bands is not None
    assert bands.path.name.startswith("G-X-W-K-G-L")
    assert bands.frequencies.shape == (len(bands.path.q_points), 21)
    assert bands.pristine.shape == (len(bands.path.q_points), 24)
    expected = defective.phonopy
    expected.run_qpoints([bands.path.q_points[5]])
    modes = expected.get_qpoints_dict()["frequencies"][0]
    np.testing.assert_allclose(bands.frequencies[5], modes, atol=1e-6)
    assert spectra.flexural_exponent is None
    assert spectra.size == "2x2x2"
