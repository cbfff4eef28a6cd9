"""Bands, DOS and heat against phonopy and pymatgen, and what is drawn of them."""

import matplotlib
import numpy as np
import phonopy
import pytest
from matplotlib.figure import Figure
from pymatgen.phonon.bandstructure import PhononBandStructureSymmLine
from small_phonons import unpacked_case

from forcebase.api import Session
from forcebase.errors import InputError
from forcebase.ingest.importing import import_paths
from forcebase.report import style


@pytest.fixture(scope="module")
def real(new_settings, tmp_path_factory, data_folder):
    """NaCl with Born charges, and the WSe2 monolayer, both of DFT."""
    db = Session(new_settings())
    folder = unpacked_case("ph_nac_params", tmp_path_factory.mktemp("salt"))
    import_paths(db, [folder / "phonopy_params.yaml", data_folder / "phonopy_wse2_gpaw_3x3.yaml"])
    yield db, folder / "phonopy_params.yaml"
    db.client.drop_database(db.settings.database)
    db.close()


@pytest.fixture(scope="module")
def salt(real):
    return next(p for p in real[0].phonons.find() if "Na" in p.formula)


@pytest.fixture(scope="module")
def layer(real):
    return next(p for p in real[0].phonons.find() if "Se" in p.formula)


@pytest.mark.parametrize("name", ["salt", "layer"])
def test_the_phonopy_object_has_our_frequencies(request, name):
    phonon = request.getfixturevalue(name)
    bands, made = phonon.bands(), phonon.to_phonopy()
    inside = ~bands.path.directions.any(axis=1)  # Gamma of a polar crystal needs a direction
    q_points = bands.q_points[inside]
    theirs = np.sort(made.run_qpoints(q_points).frequencies, axis=1)
    np.testing.assert_allclose(bands.frequencies[inside], theirs, rtol=0, atol=1e-9)
    assert (made.nac_params is not None) is (name == "salt")
    assert made.force_constants.shape[0] == len(made.primitive)
    assert phonon.to_phonopy() is not made


def test_the_charges_are_those_of_the_file(real, salt):
    theirs = phonopy.load(real[1], produce_fc=False, log_level=0)
    np.testing.assert_allclose(
        salt.to_phonopy().nac_params["born"], theirs.nac_params["born"], atol=1e-6
    )
    highest = salt.bands().highest
    assert highest == pytest.approx(7.3963, abs=1e-3)  # the longitudinal mode at Gamma


@pytest.mark.parametrize("name", ["salt", "layer", "si-phonon"])
def test_pymatgen_has_our_bands(request, silicon, name):
    phonon = silicon.get(name) if name == "si-phonon" else request.getfixturevalue(name)
    bands = phonon.bands()
    theirs = bands.to_pymatgen()
    assert isinstance(theirs, PhononBandStructureSymmLine)
    assert theirs.bands.shape[0] == bands.frequencies.shape[1]
    assert theirs.min_freq()[1] == pytest.approx(bands.lowest, abs=1e-12)
    assert theirs.distance[-1] == pytest.approx(bands.distances[-1], abs=1e-6)
    # each branch, q-point for q-point, is a piece of our path with its frequencies
    ours = {
        tuple(np.round(q, 9)): f for q, f in zip(bands.q_points, bands.frequencies, strict=True)
    }
    for branch in theirs.branches:
        some = range(branch["start_index"], branch["end_index"] + 1)
        assert len(some) > 2
        for index in some:
            q = tuple(np.round(theirs.qpoints[index].frac_coords, 9))
            if any(q):
                np.testing.assert_allclose(theirs.bands[:, index], ours[q], atol=1e-12)
    names = [branch["name"].replace(r"$\Gamma$", "G") for branch in theirs.branches]
    expected = [
        f"{a}-{b}"
        for start, stop in bands.path.segments
        for inside in [[i for i in bands.path.label_indices if start <= i < stop]]
        for a, b in zip(
            [bands.path.labels[bands.path.label_indices.index(i)] for i in inside],
            [bands.path.labels[bands.path.label_indices.index(i)] for i in inside][1:],
            strict=False,
        )
    ]
    assert names == expected
    assert theirs.has_nac is (name == "salt")


def test_pymatgen_and_phonopy_have_our_density_of_states(layer):
    dos = layer.dos(sigma=0.2)
    made = layer.to_phonopy()
    made.run_mesh(list(dos.mesh), is_gamma_center=True)
    made.run_total_dos(sigma=0.2, freq_min=-1, freq_max=11, freq_pitch=0.01)
    theirs = made.total_dos
    ours = np.interp(theirs.frequency_points, dos.frequencies, dos.total, left=0, right=0)
    np.testing.assert_allclose(ours, theirs.dos, atol=2e-2)
    found = dos.to_pymatgen()
    np.testing.assert_array_equal(found.densities, dos.total)
    np.testing.assert_array_equal(found.frequencies, dos.frequencies)
    added = sum(dos.to_pymatgen(symbol).densities for symbol in ("W", "Se"))
    np.testing.assert_allclose(added, found.densities, atol=1e-12)
    assert np.trapezoid(found.densities, found.frequencies) == pytest.approx(9, abs=1e-2)
    with pytest.raises(InputError, match=r"no Mo in .*There are: "):
        dos.to_pymatgen("Mo")
    with pytest.raises(InputError, match="not positive"):
        layer.dos(sigma=0)
    with pytest.raises(InputError, match="is not a mesh"):
        layer.dos(mesh=(2, 2))


def test_heat_is_that_of_phonopy_and_of_pymatgen(silicon):
    phonon = silicon.get("si-phonon")
    mesh = (12, 12, 12)
    thermal = phonon.thermal([0, 100, 300, 900], mesh=mesh)
    made = phonon.to_phonopy()
    made.run_mesh(list(mesh), is_gamma_center=True)
    made.run_thermal_properties(temperatures=[0, 100, 300, 900], exclude_gamma_acoustic=True)
    theirs = made.thermal_properties
    np.testing.assert_allclose(thermal.heat_capacity, theirs.heat_capacity, atol=1e-9)
    np.testing.assert_allclose(thermal.entropy, theirs.entropy, atol=1e-9)
    np.testing.assert_allclose(96.48533212 * thermal.free_energy, theirs.free_energy, atol=1e-6)
    dos = phonon.dos().to_pymatgen()
    fine = phonon.thermal(300)
    assert dos.cv(300) == pytest.approx(fine.heat_capacity[0], rel=5e-3)
    assert dos.entropy(300) == pytest.approx(fine.entropy[0], rel=2e-2)
    table = thermal.to_dataframe()
    assert list(table["temperature (K)"]) == [0, 100, 300, 900]
    np.testing.assert_array_equal(table["free energy (eV)"], thermal.free_energy)
    for wrong in ([-1], "warm", [np.nan], []):
        with pytest.raises((InputError, ValueError)):
            phonon.thermal(wrong)


def test_gap_and_ends(silicon, salt):
    bands = silicon.get("si-phonon").bands()
    assert bands.gap == 0.0
    assert bands.lowest == pytest.approx(0, abs=1e-3)
    assert bands.highest == pytest.approx(float(bands.frequencies.max()))
    assert "6 branches" in repr(bands)
    assert "Γ" in bands._repr_html_()
    assert salt.bands().gap >= 0


def lines_of(figure):
    return [line for axes in figure.axes for line in axes.get_lines() if len(line.get_xdata()) > 2]


@pytest.mark.parametrize("unit", ["THz", "cm-1", "meV"])
def test_what_is_drawn_are_the_numbers(silicon, unit):
    per_thz = {"THz": 1.0, "cm-1": 33.35641, "meV": 4.135668}[unit]
    phonon = silicon.get("si-phonon")
    bands = phonon.bands()
    figure = bands.plot(unit=unit)
    drawn = np.concatenate([line.get_ydata() for line in lines_of(figure)])
    assert drawn.max() == pytest.approx(bands.highest * per_thz, rel=1e-6)
    assert len(drawn) == bands.frequencies.size
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels[0] == "Γ"
    dos = phonon.dos(mesh=(6, 6, 6))
    states = lines_of(dos.plot(unit))[0]
    area = np.trapezoid(states.get_ydata(), states.get_xdata())
    assert area == pytest.approx(6, abs=1e-2)


def test_figures_are_of_the_house_whatever_the_user_has_set(silicon):
    phonon = silicon.get("si-phonon")
    with matplotlib.rc_context({"lines.linewidth": 9, "font.size": 30, "axes.grid": True}):
        figures = [phonon.bands().plot(), phonon.thermal([0, 300]).plot()]
    for figure in figures:
        assert isinstance(figure, Figure)
        assert figure.dpi == style.RESOLUTION
        assert figure.axes[0].yaxis.label.get_fontsize() == 10.5
        assert all(line.get_linewidth() < 2 for line in lines_of(figure))
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert "tersoff" in figures[0].axes[0].get_title(loc="left")
    with pytest.raises(InputError, match=r"'Ry' is not a unit.*THz, cm-1, meV"):
        phonon.bands().plot(unit="Ry")


def test_imaginary_modes_lower_the_axis(silicon):
    soft = silicon.phonon("lj", "si", supercell=(2, 2, 2), max_steps=1, displacement=0.01)
    bands = soft.bands()
    assert bands.lowest < -0.5  # diamond is not stable with pairs alone
    assert bands.plot().axes[0].get_ylim()[0] < bands.lowest
    assert silicon.get("si-phonon").bands().plot().axes[0].get_ylim()[0] == 0
