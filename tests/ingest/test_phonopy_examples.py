"""phonopy's own examples, with their BORN files, against phonopy: records of a database."""

import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_phonons import (
    CASES,
    at,
    gamma_frequencies,
    loaded_by_phonopy,
    solved,
    unpacked_case,
)

from forcebase.database.crystals import crystal_of
from forcebase.ingest.importing import import_paths
from forcebase.physics.vibrations import modes

EXAMPLES = Path(__file__).parents[1] / "data" / "phonopy"
SAME = 1e-5
"""THz."""
WAYS = ((1, 0, 0), (0, 0, 1), (1, 1, 1))
BOUNDARIES = [(0.5, 0, 0), (0, 0, 0.5), (0.5, 0.5, 0), (0.5, 0.5, 0.5), (1 / 3, 1 / 3, 0)]
HIGHEST = {"MgO": 19.9745, "ZnO": 15.3265, "TiO2-anatase": 24.4098}


def unpacked(name, folder):
    target = folder / name
    target.mkdir()
    for file in (EXAMPLES / name).iterdir():
        opener = lzma.open if file.suffix == ".xz" else open
        with opener(file, "rb") as stream:
            (target / file.name.removesuffix(".xz")).write_bytes(stream.read())
    shutil.copy(CASES / "phonopy_units_missing" / "method.yaml", target)
    return target


def imported(db, folder):
    report = import_paths(db, [folder / "phonopy_disp.yaml"])
    assert report.failed == []
    (phonon,) = db.phonons.find()
    return phonon, crystal_of(db, phonon)


@pytest.mark.parametrize("name", ["MgO", "ZnO", "TiO2-anatase", "Cr", "Al-ABACUS"])
def test_frequencies_are_phonopys(db, tmp_path, name):
    folder = unpacked(name, tmp_path)
    phonon, crystal = imported(db, folder)
    theirs = solved(loaded_by_phonopy(folder / "phonopy_disp.yaml", produce_fc=False))
    assert (theirs.nac_params is not None) is (phonon.born is not None) is (name in HIGHEST)
    found = modes(crystal, BOUNDARIES).frequencies
    np.testing.assert_allclose(found, at(theirs, BOUNDARIES), atol=SAME)
    for way in WAYS:
        found = gamma_frequencies(crystal, way)
        np.testing.assert_allclose(
            found, at(theirs, (0, 0, 0), way)[0], atol=SAME, err_msg=str(way)
        )
    if name in HIGHEST:
        assert gamma_frequencies(crystal, WAYS[0]).max() == pytest.approx(HIGHEST[name], abs=1e-4)
    assert phonon.findings == []
    assert (phonon.magnetic_moments is not None) is (name == "Cr")


def test_directions_differ_in_wurtzite(db, tmp_path):
    _, crystal = imported(db, unpacked("ZnO", tmp_path))
    in_plane, along = (gamma_frequencies(crystal, way).max() for way in WAYS[:2])
    assert along - in_plane == pytest.approx(15.8414 - 15.3265, abs=1e-3)


def test_a_real_output_of_ph_x_gives_what_its_born_gives(db, tmp_path):
    """ph.x was run on the conventional cell; BORN is phonopy's, with the sum rule imposed."""
    folder = unpacked_case("phonopy_units_missing", tmp_path)
    other = unpacked("NaCl-QE", tmp_path)
    shutil.copy(other / "BORN", folder)
    theirs = solved(loaded_by_phonopy(folder / "phonopy_disp.yaml", produce_fc=False))
    (folder / "BORN").unlink()
    shutil.copy(other / "NaCl.ph.out", folder)
    phonon, crystal = imported(db, folder)
    assert phonon.nac["source"] == "NaCl.ph.out"
    assert phonon.born.shape == (2, 3, 3)
    for way in WAYS:
        expected = at(theirs, (0, 0, 0), way)[0]
        np.testing.assert_allclose(gamma_frequencies(crystal, way), expected, atol=5e-4)
        assert expected.max() > 7
