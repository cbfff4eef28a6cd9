"""The picture of two phonons shows what their comparison says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from small_phonons import (
    from_phonopy_yaml,
    unpacked_case,
)

from forcebase.comparison import compare
from forcebase.errors import InputError
from forcebase.physics.force_constant_errors import compare_force_constants
from forcebase.physics.phonon_comparison import compare_bands
from forcebase.physics.spectra import spectra_of
from forcebase.report.phonon_pair import draw_phonon_pair, write_phonon_picture


@pytest.fixture
def figure(spectra):
    errors = compare_force_constants(spectra.model, spectra.reference)
    metrics = {
        **compare_bands(spectra.model_bands, spectra.reference_bands).as_dict(),
        "modes": {"mae_THz": 0.25},
        "force_constants": errors.as_dict(),
    }
    return draw_phonon_pair(spectra, metrics, ("my-mace", "gpaw"))


def test_both_bands_and_states_are_drawn(figure, spectra):
    bands, states, _ = figure.axes
    drawn = [line for line in bands.get_lines() if len(line.get_xdata()) > 2]
    assert len(drawn) == 2 * 9
    np.testing.assert_array_equal(
        np.array([line.get_ydata() for line in drawn[9:]]).T, spectra.model_bands.frequencies
    )
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["gpaw", "my-mace"]
    assert "of paired modes 0.250 THz" in bands.get_title(loc="left")
    (line,) = states.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), spectra.model_dos.total)
    assert [tick.get_text() for tick in bands.get_xticklabels()] == ["Γ", "M", "K", "Γ"]


def test_errors_of_force_constants_stand_at_their_distance(figure, spectra):
    rows = compare_force_constants(spectra.model, spectra.reference).by_distance
    reference, errors = figure.axes[2].get_lines()
    assert reference.get_xdata().tolist() == [row.distance for row in rows]
    assert errors.get_ydata().tolist() == [row.frobenius for row in rows]


def test_a_picture_is_written_from_the_records(db, tmp_path, imported):
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    same = compare(db, "wse2-dft-phonon", "wse2-dft-phonon")
    write_phonon_picture(db, same, tmp_path / "pair.png")
    assert imread(tmp_path / "pair.png").shape[:2] == (1152, 1600)
    with pytest.raises(InputError, match="cannot be written"):
        write_phonon_picture(db, same, tmp_path / "no folder" / "pair.png")


def test_a_polar_crystal_with_a_jump_in_its_path(tmp_path):
    file = unpacked_case("ph_nac_params", tmp_path) / "phonopy_params.yaml"
    salt = from_phonopy_yaml(file)
    bare = replace(salt, response=None)
    spectra = spectra_of(bare, salt)
    metrics = {
        **compare_bands(spectra.model_bands, spectra.reference_bands).as_dict(),
        "modes": {"mae_THz": 0.0},
        "force_constants": compare_force_constants(spectra.model, spectra.reference).as_dict(),
    }
    bands = draw_phonon_pair(spectra, metrics, ("my-mace", "dft")).axes[0]
    ticks = [tick.get_text() for tick in bands.get_xticklabels()]
    assert ticks == ["Γ", "X", "W", "K", "Γ", "L", "U", "W", "L", "K|U", "X"]
    assert "Born charges of the reference" in bands.get_xlabel()
    np.testing.assert_array_equal(
        spectra.model_bands.frequencies, spectra.reference_bands.frequencies
    )
    drawn = [line.get_ydata() for line in bands.get_lines() if len(line.get_xdata()) > 2]
    assert len(drawn) == 2 * 6 * len(spectra.path.segments)
    assert max(y.max() for y in drawn) == pytest.approx(7.3963, abs=1e-4)
