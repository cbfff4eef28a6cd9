"""Whose Born charges two phonons are compared with, and temperatures that are never alike."""

from dataclasses import replace

import numpy as np
import pytest
from small_phonons import (
    copper,
    from_phonopy_yaml,
    gamma_frequencies,
    tetragonal_gold_copper,
    unpacked_case,
)

from forcebase.comparison import compare
from forcebase.errors import InputError
from forcebase.physics.dielectric_response import DielectricResponse
from forcebase.physics.harmonic_crystal import HarmonicCrystal


@pytest.fixture(scope="module")
def salt(tmp_path_factory):
    folder = unpacked_case("ph_nac_params", tmp_path_factory.mktemp("salt"))
    return from_phonopy_yaml(folder / "phonopy_params.yaml")


@pytest.fixture
def pair(salt, store_phonon):
    """A model without charges, 4 % stiffer in frequency, and NaCl with them."""
    bare = replace(salt, response=None, force_constants=1.0816 * salt.force_constants)
    return store_phonon(bare, weights="soft").id, store_phonon(salt, weights="dft").id


def highest(found, way="G-X"):
    row = found.metrics["gamma"][way]
    return row["highest_reference_THz"], row["highest_error_THz"]


def test_by_default_both_sides_have_the_references_charges(db, pair, salt):
    found = compare(db, *pair).validation
    assert (found.on["nac"], found.on["nac_asked"]) == ("reference", "reference")
    assert "the reference's and no result of the model" in found.on["nac_words"]
    split = gamma_frequencies(salt, (1, 0, 0)).max()
    stiff = replace(salt, force_constants=1.0816 * salt.force_constants)
    expected = gamma_frequencies(stiff, (1, 0, 0)).max()
    assert split == pytest.approx(7.3963, abs=1e-4)
    reference, error = highest(found)
    assert reference == pytest.approx(split, abs=1e-6)
    assert error == pytest.approx(expected - split, abs=1e-6)
    assert set(found.metrics["gamma"]) >= {"G-X", "G-L", "G-K"}
    assert found.on["path"].count("|") == 1


def test_none_leaves_the_splitting_out(db, pair):
    found = compare(db, *pair, nac="none").validation
    assert found.on["nac"] == "none"
    assert "gamma" not in found.metrics
    assert "left out on both sides, as asked" in found.on["nac_words"]
    with_it = compare(db, *pair).validation
    assert found.id != with_it.id
    assert found.metrics["band_mae_THz"] != with_it.metrics["band_mae_THz"]
    assert found.metrics["force_constants"] == with_it.metrics["force_constants"]
    assert compare(db, *pair, nac="none").validation.id == found.id


def test_own_charges_are_unlike_where_one_side_has_none(db, pair, salt, store_phonon):
    with pytest.raises(InputError, match=r"nac \(no Born charges and Born charges\).*--allow nac"):
        compare(db, *pair, nac="own")
    found = compare(db, *pair, nac="own", allow=["nac"]).validation
    assert found.on["nac"] == "own"
    assert "the model has none, the reference has them" in found.on["nac_words"]
    reference, error = highest(found)
    assert reference + error < 5 < reference
    charged = replace(salt, response=replace(salt.response, born=0.9 * salt.response.born))
    other = store_phonon(charged, weights="charged")
    mine = compare(db, other.id, pair[1], nac="own").validation
    assert mine.on["allowed"] == {}
    assert highest(mine)[1] < -0.1
    assert highest(compare(db, other.id, pair[1]).validation)[1] == pytest.approx(0, abs=1e-6)


def test_a_reference_without_charges_takes_none(db, pair):
    model, reference = pair
    found = compare(db, reference, model).validation
    assert found.on["nac"] == "none"
    assert "the reference has no Born charges" in found.on["nac_words"]


def test_nac_is_for_phonons_and_one_of_three(db, pair):
    with pytest.raises(InputError, match="no Born charges 'half' to take"):
        compare(db, *pair, nac="half")
    method = db.phonons.get(pair[0]).method
    with pytest.raises(InputError, match="Only phonons have Born charges"):
        compare(db, method, method, nac="none")


def test_layers_have_no_term(db, dft_crystal, store_phonon):
    born = np.array([np.eye(3), -0.5 * np.eye(3), -0.5 * np.eye(3)])
    polar = replace(dft_crystal, response=DielectricResponse(born, 4 * np.eye(3)))
    found = compare(
        db, store_phonon(dft_crystal, weights="a").id, store_phonon(polar, weights="b").id
    ).validation
    assert found.on["nac"] == "none"
    assert "kept and not applied" in found.on["nac_words"]
    assert found.metrics["band_max_THz"] == 0


def test_charges_of_another_setting_are_turned_along(db, store_phonon):
    made = tetragonal_gold_copper()
    crystal = HarmonicCrystal.from_phonopy(made)
    born = np.array([np.diag([1.2, 1.2, 0.8]), -np.diag([1.2, 1.2, 0.8])])
    polar = replace(crystal, response=DielectricResponse(born, np.diag([3.0, 3.0, 5.0])))
    turn = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    other = replace(
        crystal,
        cell=crystal.cell @ turn,
        positions=crystal.positions @ turn,
        force_constants=np.einsum("ba,ijbc,cd->ijad", turn, crystal.force_constants, turn),
        response=polar.response.turned(turn),
    )
    reference = store_phonon(polar, weights="a")
    found = compare(db, store_phonon(other, weights="b").id, reference.id, nac="own").validation
    for way, row in found.metrics["gamma"].items():
        assert row["highest_error_THz"] == pytest.approx(0, abs=1e-5), way
    heights = {way: row["highest_reference_THz"] for way, row in found.metrics["gamma"].items()}
    assert abs(heights["G-X"] - heights["G-Z"]) > 0.1


HARMONIC = {"displacement_A": 0.02}
WARM = {
    "displacement_A": None,
    "displacements": "random",
    "amplitude_A": 0.12,
    "temperature_K": 300.0,
    "statistics": "classical",
    "source": "molecular dynamics",
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, "300 K, classical, molecular dynamics and harmonic"),
        ({"temperature_K": None}, "effective at random displacements of 0.12 A, temperature not"),
        ({"statistics": None}, "300 K, statistics not told, molecular dynamics and harmonic"),
    ],
)
def test_harmonic_and_warm_force_constants_are_never_alike(db, store_phonon, change, named):
    crystal = HarmonicCrystal.from_phonopy(copper(1))
    warm = store_phonon(crystal, WARM | change, weights="warm")
    cold = store_phonon(crystal, HARMONIC, weights="cold")
    with pytest.raises(InputError, match=rf"temperature \({named}"):
        compare(db, warm.id, cold.id)
    found = compare(db, warm.id, cold.id, allow=["temperature", "displacement"]).validation
    assert list(found.on["allowed"]["displacement"]) == ["random, 0.12 A", "0.02 A"]
    quantum = store_phonon(crystal, WARM | {"statistics": "quantum"}, weights="quantum")
    if not change:
        with pytest.raises(InputError, match="300 K, quantum"):
            compare(db, quantum.id, warm.id)
