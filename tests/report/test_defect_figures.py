"""Pictures of a defect: DFT's selenium vacancy in 2x2, a heavy isotope in 3x3."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.text import Text
from numpy.testing import assert_allclose
from phonopy.harmonic.force_constants import compact_fc_to_full_fc
from small_phonons import from_phonopy_yaml

from forcebase.errors import InputError
from forcebase.physics.defect_location import locate_defect
from forcebase.physics.defect_spectra import DefectSpectra, defect_spectra
from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.local_dos import DIRECTIONS
from forcebase.report import style
from forcebase.report.defect import (
    draw_bands_and_dos,
    draw_bands_beside,
    draw_convergence,
    draw_local_bands,
    draw_local_dos,
    draw_mode,
    draw_study,
)
from forcebase.report.defect.bands import changes
from forcebase.report.defect.convergence import marker_area, spread
from forcebase.report.defect.local_dos import of_one_atom
from forcebase.report.defect.mode import ARROW, REACH, SEEN
from forcebase.report.defect.panels import defect_name
from forcebase.report.defect.scene import displacement_of, make_scene
from forcebase.report.phonons import FrequencyUnit
from forcebase.units import THZ_TO_CM1

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def pristine() -> HarmonicCrystal:
    return from_phonopy_yaml(DATA / "wse2_gpaw" / "phonopy_wse2_gpaw_3x3.yaml")


@pytest.fixture(scope="module")
def vacancy(pristine) -> DefectSpectra:
    name = "phonopy_wse2_gpaw_vacancy_2x2.yaml"
    crystal = from_phonopy_yaml(DATA / "wse2_gpaw_vacancy" / name)
    found = locate_defect(crystal.primitive_atoms, pristine.unit_cell)
    return defect_spectra(
        crystal, pristine, np.diag([2, 2, 1]), found.centre, name="v_Se", n_path=14
    )


@pytest.fixture(scope="module")
def isotope(pristine) -> DefectSpectra:
    """One tungsten atom of five times the mass, with modes of its own, some of them in pairs."""
    cell = pristine.supercell_atoms
    full = compact_fc_to_full_fc(pristine.phonopy.primitive, pristine.force_constants)
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
        force_constants=full,
    )
    centre = cell.get_scaled_positions()[heavy]
    return defect_spectra(
        crystal, pristine, np.diag([3, 3, 1]), centre, name="isotope", n_path=None
    )


@pytest.fixture(scope="module")
def figures(vacancy, isotope):
    study = draw_study([vacancy, isotope], [vacancy, None])
    own = {
        "bands_and_dos": draw_bands_and_dos(vacancy),
        "local_bands": draw_local_bands(vacancy),
        "own_local_dos": draw_local_dos(vacancy),
        "mode": draw_mode(isotope, isotope.localised[0]),
    }
    return {**study, **own}


def segments_of(axes) -> np.ndarray:
    """(n_lines, n_points) y of the lines of the first collection."""
    return np.array([segment[:, 1] for segment in axes.collections[0].get_segments()])


def curves_of(axes) -> list[np.ndarray]:
    """y of the curves."""
    return [line.get_ydata() for line in axes.lines if len(line.get_ydata()) > 2]


def test_words_neither_leave_the_canvas_nor_touch_each_other(figures):
    for name, figure in figures.items():
        FigureCanvasAgg(figure).draw()
        width, height = figure.canvas.get_width_height()
        texts = [text for text in figure.findobj(Text) if text.axes is not None]
        texts += [*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())]
        boxes = {text: text.get_window_extent() for text in texts if _is_drawn(text)}
        for text, box in boxes.items():
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, (name, text)
        for (a, box_a), (b, box_b) in combinations(boxes.items(), 2):
            assert not box_a.overlaps(box_b) or box_a.bounds == box_b.bounds, (name, a, b)


def _is_drawn(text: Text) -> bool:
    """Not a tick's label that is hidden or beyond the limits."""
    if not text.get_visible() or not text.get_text().strip():
        return False
    for axis in () if text.axes is None else (text.axes.xaxis, text.axes.yaxis):
        for tick in axis.get_major_ticks():
            if text in (tick.label1, tick.label2):
                low, high = sorted(axis.get_view_interval())
                return low <= tick.get_loc() <= high
    return True


def test_a_study_is_of_the_largest_cell_and_beside_dft(vacancy, isotope):
    study = draw_study([isotope, vacancy], [None, vacancy])
    expected = {"local_dos", "convergence", "local_dos_dft_2x2", "bands_dft_2x2"}
    modes = {f"mode_{mode.index + 1}" for mode in isotope.localised}
    assert expected <= set(study) <= expected | modes
    assert "bands_and_dos" in draw_study([vacancy])


def test_bands_need_bands(isotope):
    for draw in (draw_bands_and_dos, draw_local_bands):
        with pytest.raises(InputError, match="no bands"):
            draw(isotope)


def test_bands_are_the_pristine_and_the_defects(vacancy):
    folded, own, total, elements, _ = draw_bands_and_dos(vacancy).axes[:5]
    assert_allclose(segments_of(folded), vacancy.bands.pristine.T * THZ_TO_CM1)
    assert_allclose(segments_of(own), vacancy.bands.frequencies.T * THZ_TO_CM1)
    assert len(curves_of(total)) == 2
    assert len(curves_of(elements)) == 4
    assert [label.get_text() for label in own.get_xticklabels()] == ["Γ", "M", "K", "Γ"]


def test_the_elements_changes_leave_the_numbers_of_states(vacancy):
    grid = vacancy.dos.frequencies
    for symbol, states in changes(vacancy).items():
        n_modes = 3 * (vacancy.groups.symbols == symbol).sum()
        assert abs(np.trapezoid(states, grid)) < 1e-3 * n_modes
        assert np.trapezoid(np.abs(states), grid) > 0.1 * n_modes


def test_imaginary_modes_are_in_view(vacancy):
    soft = vacancy.bands.frequencies.copy()
    soft[3, 0] = -1.5
    figure = draw_bands_and_dos(replace(vacancy, bands=replace(vacancy.bands, frequencies=soft)))
    assert figure.axes[0].get_ylim()[0] < -1.5 * THZ_TO_CM1
    assert draw_bands_and_dos(vacancy).axes[0].get_ylim()[0] == 0.0


def test_local_dos_of_one_atom_holds_its_degrees_of_freedom(vacancy):
    grid = vacancy.dos.frequencies
    for direction, freedoms in zip(DIRECTIONS, (2.0, 1.0), strict=True):
        found = of_one_atom(vacancy.dos, vacancy.groups, 1, direction)
        assert set(found) == {"W", "Se top", "Se bottom"}
        for states in found.values():
            assert np.trapezoid(states, grid) == pytest.approx(freedoms, rel=1e-3)


def test_local_dos_has_a_row_for_each_shell_with_atoms(vacancy):
    axes = [a for a in draw_local_dos(vacancy, unit=FrequencyUnit.THZ).axes if a.lines]
    assert len(axes) == 4  # beyond 6 angstrom a 2x2 cell has no atoms
    inner = of_one_atom(vacancy.dos, vacancy.groups, 0, "in-plane")
    removed = of_one_atom(vacancy.perfect_dos, vacancy.perfect_groups, 0, "in-plane")
    drawn = curves_of(axes[0])
    assert set(inner) == {"W"}
    assert set(removed) == {"W", "Se top"}
    for states in (*inner.values(), *removed.values()):
        assert any(np.array_equal(states, curve) for curve in drawn)


def test_the_strongest_of_the_local_bands_lie_on_top(vacancy):
    bands = vacancy.bands
    lines = draw_local_bands(vacancy, shell=1).axes[0].collections[0]
    strength = lines.get_array()
    weights = bands.weights[:, :, 1]
    assert (np.diff(strength) >= 0).all()
    assert_allclose(strength, np.sort(((weights[:-1] + weights[1:]) / 2).ravel()))
    ends = np.array(lines.get_segments())[:, 0, 1]
    assert_allclose(np.sort(ends), np.sort(bands.frequencies[:-1].ravel() * THZ_TO_CM1))


def test_convergence_shows_every_level_by_its_weight(vacancy, isotope):
    modes = draw_convergence([isotope, vacancy]).axes[0]
    assert [label.get_text() for label in modes.get_xticklabels()] == ["2×2", "3×3"]
    points = [c for c in modes.collections if isinstance(c, PathCollection)]
    drawn = sorted((p.get_offsets()[0, 1], p.get_sizes()[0]) for p in points)
    levels = [level for one in (vacancy, isotope) for level in one.localised]
    assert_allclose(
        drawn, sorted((level.frequency * THZ_TO_CM1, marker_area(level)) for level in levels)
    )
    assert len(isotope.localised) > 0


@given(st.lists(st.floats(0, 100), max_size=12), st.floats(0.5, 20))
def test_labels_are_spread_in_order_and_no_further_than_needed(places, gap):
    wanted = np.sort(np.array(places, dtype=float))
    found = spread(wanted, gap)
    assert (np.diff(found) >= gap - 1e-6).all()
    assert found.sum() == pytest.approx(wanted.sum(), abs=1e-6)
    if (np.diff(wanted) > gap).all():
        assert_allclose(found, wanted)


def test_bonds_are_of_nearest_neighbours(isotope):
    scene = make_scene(isotope, isotope.localised[0], REACH)
    lengths = np.linalg.norm(scene.bonds[:, 0] - scene.bonds[:, 1], axis=1)
    assert_allclose(lengths, lengths[0], rtol=1e-3)
    inside = np.linalg.norm(scene.positions[:, :2], axis=1) < REACH
    ends = scene.bonds.reshape(-1, 3)
    n_bonds = [
        int((np.linalg.norm(ends - place, axis=1) < 1e-6).sum())
        for place in scene.positions[inside & (scene.numbers == 74)]
    ]
    assert set(n_bonds) == {6}


def test_the_side_view_holds_a_slice(isotope):
    scene = make_scene(isotope, isotope.localised[0], REACH)
    part = scene.between(-0.9, 2.4)
    assert 0 < len(part.positions) < len(scene.positions)
    assert ((part.positions[:, 1] > -0.9) & (part.positions[:, 1] < 2.4)).all()
    assert len(part.numbers) == len(part.displacements) == len(part.bottom)


def test_a_degenerate_level_is_one_picture_however_its_vectors_are_mixed(isotope):
    pair = next(mode for mode in isotope.localised if mode.degeneracy == 2)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    vectors = isotope.gamma.eigenvectors.copy()
    vectors[:, :, pair.index : pair.index + 2] = vectors[:, :, pair.index : pair.index + 2] @ turn
    turned = replace(isotope, gamma=replace(isotope.gamma, eigenvectors=vectors))
    moved = displacement_of(isotope, pair)
    assert_allclose(displacement_of(turned, pair), moved, atol=1e-6)
    assert np.linalg.norm(moved, axis=1).max() == pytest.approx(1.0)


def test_arrows_are_the_displacements(isotope):
    mode = isotope.localised[1]
    scene = make_scene(isotope, mode, REACH)
    figure = draw_mode(isotope, mode)
    arrows = [c for c in figure.axes[0].collections if hasattr(c, "U")]
    drawn = np.concatenate([np.column_stack([a.X, a.Y, a.U, a.V]) for a in arrows])
    flat = scene.displacements[:, :2]
    shown = np.linalg.norm(flat, axis=1) > SEEN
    wanted = np.column_stack([scene.positions[shown, :2], ARROW * flat[shown]])
    assert_allclose(np.sort(drawn, axis=0), np.sort(wanted, axis=0))
    title = figure.axes[0].get_title()
    assert f"{mode.frequency * THZ_TO_CM1:.1f} cm⁻¹, {mode.character}, 2-fold" in title


def test_dft_lies_beside_the_model_in_one_range(vacancy):
    softer = replace(vacancy.bands, frequencies=0.9 * vacancy.bands.frequencies)
    figure = draw_bands_beside(replace(vacancy, bands=softer), vacancy)
    dft, mace, overlay, _ = figure.axes[:4]
    assert_allclose(segments_of(dft), vacancy.bands.frequencies.T * THZ_TO_CM1)
    assert_allclose(segments_of(mace), 0.9 * vacancy.bands.frequencies.T * THZ_TO_CM1)
    assert len(overlay.collections) == 2
    assert dft.get_ylim() == mace.get_ylim()


def test_pictures_are_the_same_every_time(vacancy):
    assert style.png(draw_local_bands(vacancy)) == style.png(draw_local_bands(vacancy))


def test_names_have_their_subscript_low():
    assert defect_name("v_Se") == r"v$_{\mathrm{Se}}$"
    assert defect_name("two vacancies") == "two vacancies"
