"""Localised modes followed through supercells: by shape, not by frequency or number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from small_phonons import from_phonopy_yaml

from forcebase.physics.defect_spectra import DefectSpectra, defect_spectra
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mode_tracking import common_sites, similarities, track_modes

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def isotope() -> DefectSpectra:
    """DFT's 3x3 supercell, one tungsten atom of five times the mass: single levels and pairs."""
    pristine = from_phonopy_yaml(DATA / "wse2_gpaw" / "phonopy_wse2_gpaw_3x3.yaml")
    cell = pristine.supercell_atoms
    heavy = int(np.flatnonzero(cell.numbers == 74)[0])
    masses = cell.get_masses()
    masses[heavy] *= 5
    crystal = HarmonicCrystal(
        numbers=cell.numbers,
        cell=cell.cell.array,
        positions=cell.positions,
        masses=masses,
        supercell_matrix=np.eye(3, dtype=np.int64),
        primitive_matrix=np.eye(3),
        force_constants=compact_fc_to_full_fc(pristine.phonopy.primitive, pristine.force_constants),
    )
    centre = cell.get_scaled_positions()[heavy]
    return defect_spectra(crystal, pristine, np.diag([3, 3, 1]), centre, n_path=None)


def moved(spectra: DefectSpectra, shift: float) -> DefectSpectra:
    """The same with its sites in another order, and the defect elsewhere in the cell."""
    step = np.array([shift, -shift, 0.0])
    order = np.random.default_rng(1).permutation(len(spectra.atoms))
    atoms = spectra.atoms[order]
    atoms.set_scaled_positions(atoms.get_scaled_positions() + step)
    vectors = spectra.gamma.eigenvectors[order]
    return replace(
        spectra,
        atoms=atoms,
        centre=spectra.centre + step,
        gamma=replace(spectra.gamma, eigenvectors=vectors),
    )


def test_a_mode_is_like_itself_wherever_the_defect_is(isotope):
    alike = similarities(isotope, moved(isotope, 0.37))
    assert len(alike) > 1
    assert_allclose(np.diag(alike), 1.0, atol=1e-9)
    assert (alike <= 1 + 1e-9).all()
    assert_allclose(alike, similarities(moved(isotope, 0.37), isotope).T, atol=1e-9)


def test_mixing_the_vectors_of_a_level_changes_nothing(isotope):
    pair = next(level for level in isotope.localised if level.degeneracy == 2)
    vectors = isotope.gamma.eigenvectors.copy()
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    here = slice(pair.index, pair.index + 2)
    vectors[:, :, here] = vectors[:, :, here] @ turn
    turned = replace(isotope, gamma=replace(isotope.gamma, eigenvectors=vectors))
    assert_allclose(similarities(isotope, turned), similarities(isotope, isotope), atol=1e-9)


def test_sites_are_paired_by_element_and_place(isotope):
    other = moved(isotope, 0.37)
    sites, images = common_sites(isotope.atoms, isotope.centre, other.atoms, other.centre)
    assert len(sites) == len(set(images)) > 3
    assert (isotope.atoms.numbers[sites] == other.atoms.numbers[images]).all()
    assert (isotope.groups.distance[sites] < 5.0).all()  # half the cell


def test_modes_keep_their_track_when_their_frequencies_cross(isotope):
    shifted = tuple(replace(level, frequency=20.0 - level.frequency) for level in isotope.localised)
    tracks = track_modes([isotope, replace(moved(isotope, 0.2), localised=shifted), isotope])
    assert len(tracks) == len(isotope.localised)
    for track in tracks:
        assert [number for number, _ in track.levels] == [0, 1, 2]
        assert len({level.index for _, level in track.levels}) == 1
        assert_allclose(track.similarity, 1.0, atol=1e-9)


def test_a_mode_that_ends_and_one_that_begins_have_tracks_of_their_own(isotope):
    first, *others = isotope.localised
    tracks = track_modes(
        [replace(isotope, localised=(first,)), replace(isotope, localised=tuple(others))]
    )
    assert sorted(n for track in tracks for n, _ in track.levels) == [0] + [1] * len(others)
    assert all(len(track.levels) == 1 for track in tracks)
    assert track_modes([]) == []
