"""What follows from a stored phonon: both sides on the same q-points and frequencies."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from small_phonons import from_phonopy_yaml

from forcebase.database.crystals import crystal_of
from forcebase.errors import NotFoundError
from forcebase.ingest.importing import import_paths
from forcebase.physics.finite_displacement import displacements, harmonic_crystal
from forcebase.physics.force_constant_errors import compare_force_constants
from forcebase.physics.phonon_comparison import compare_bands
from forcebase.physics.spectra import spectra_of

NAME = "phonopy_wse2_gpaw_3x3.yaml"


@pytest.fixture(scope="module")
def crystal(data_folder):
    return from_phonopy_yaml(data_folder / NAME)


def test_both_sides_share_path_mesh_and_frequencies(crystal):
    stiff = replace(crystal, force_constants=4 * crystal.force_constants)
    spectra = spectra_of(stiff, crystal)
    np.testing.assert_array_equal(spectra.model_dos.frequencies, spectra.reference_dos.frequencies)
    assert spectra.mesh[2] == 1
    assert spectra.path.q_points[:, 2].tolist() == [0.0] * len(spectra.path.q_points)
    optical = spectra.reference_bands.frequencies > 1.0
    ratio = spectra.model_bands.frequencies[optical] / spectra.reference_bands.frequencies[optical]
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-6)
    top = spectra.model_dos.frequencies.max()
    assert top > spectra.model_bands.frequencies.max()


def test_both_sides_hold_all_states(crystal):
    spectra = spectra_of(crystal, crystal)
    for dos in (spectra.model_dos, spectra.reference_dos):
        assert np.trapezoid(dos.total, dos.frequencies) == pytest.approx(9, rel=0.01)


def test_gamma_has_the_frequencies_of_the_readme(crystal):
    """1/cm: 168.6 twice, 239.7 twice, 242.5, 300.1."""
    bands = spectra_of(crystal, crystal).reference_bands
    gamma = np.flatnonzero((bands.path.q_points == 0).all(axis=1))[0]
    optical = np.sort(bands.frequencies[gamma])[3:] * 33.35641
    np.testing.assert_allclose(optical, [168.6, 168.6, 239.7, 239.7, 242.5, 300.1], atol=0.1)


def test_force_constants_that_are_gone_say_where_they_came_from(db, data_folder):
    import_paths(db, [data_folder / NAME])
    phonon = db.phonons.one()
    db.raw["blobs.files"].delete_many({"_id": phonon.force_constants})
    with pytest.raises(NotFoundError, match="import again"):
        crystal_of(db, phonon)


def copper(atoms, supercell, primitive=None):
    """Force constants of copper, by displacements with EMT."""
    made = displacements(atoms, supercell, 0.01, primitive)
    forces = []
    for cell in made.supercells:
        cell.calc = EMT()
        forces.append(cell.get_forces())
    return harmonic_crystal(made, forces)


def test_a_bulk_crystal_from_its_cubic_cell_and_from_its_primitive_one():
    """Computed apart, in a cube of four atoms and in a rhombohedron of one, turned."""
    cube = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    cubic = copper(bulk("Cu", a=3.61, cubic=True), [2, 2, 2], np.linalg.inv(cube))
    without_matrix = copper(bulk("Cu", a=3.61, cubic=True), [2, 2, 2])
    turned = bulk("Cu", a=3.61)
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    primitive = copper(turned, 2 * cube)
    for pair in ((cubic, primitive), (primitive, cubic), (without_matrix, primitive)):
        spectra = spectra_of(*pair)
        assert min(spectra.mesh) > 10
        assert {"G", "X", "L"} < set(spectra.path.labels)
        assert compare_bands(spectra.model_bands, spectra.reference_bands).max < 1e-4
        assert compare_force_constants(spectra.model, spectra.reference).relative < 1e-5
