"""Figures: the data they are given, in the units they name, on a canvas that holds it all."""

from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from matplotlib.text import Text

from forcebase.report import style
from forcebase.report.content import Names
from forcebase.report.curves import draw_learning_curve
from forcebase.report.parity import draw_energy_parity, draw_force_parity
from forcebase.report.phonons import FrequencyUnit, draw_bands, draw_pdos
from forcebase.report.shells import draw_force_shells
from forcebase.report.timing import draw_timing, timings_by_kind
from forcebase.units import THZ_TO_CM1

NAMES = Names(reference="VASP PBE", model="CHGNet")


@pytest.fixture
def figures(content, bands, dos):
    return {
        "bands": draw_bands(bands, dos, content.names),
        "pdos": draw_pdos(dos, content.names),
        "parity_energy": draw_energy_parity(content.parity, content.names),
        "parity_forces": draw_force_parity(content.parity, content.names),
        "force_shells": draw_force_shells(content.shells, content.names),
        "learning_curve": draw_learning_curve(content.learning_curve),
        "timing": draw_timing(content.timings, content.names),
    }


def lines_of(axes) -> np.ndarray:
    """(n_lines, n_points) y of the lines that have more points than two."""
    return np.array([line.get_ydata() for line in axes.lines if len(line.get_ydata()) > 2])


def texts_of(figure) -> list[Text]:
    FigureCanvasAgg(figure).draw()
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text.axes is not None
    ]


def test_pictures_have_the_house_resolution(figures, tmp_path):
    for name, figure in figures.items():
        (tmp_path / "a.png").write_bytes(style.png(figure))
        height, width = imread(tmp_path / "a.png").shape[:2]
        wanted = figure.get_size_inches() * style.RESOLUTION
        assert (width, height) == tuple(wanted.astype(int)), name
        assert width >= 5 * style.RESOLUTION


def test_a_figure_gives_the_same_picture_whatever_the_users_settings(dos, monkeypatch):
    plain = style.png(draw_pdos(dos, NAMES))
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 30.0)
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9.0)
    assert style.png(draw_pdos(dos, NAMES)) == plain
    assert matplotlib.rcParams["font.size"] == 30.0


def test_words_neither_leave_the_canvas_nor_touch_each_other(figures):
    for name, figure in figures.items():
        boxes = {text: text.get_window_extent() for text in texts_of(figure)}
        width, height = figure.canvas.get_width_height()
        shown = {text: box for text, box in boxes.items() if _on_axis(text)}
        for text, box in shown.items():
            assert box.x0 >= -1, (name, text)
            assert box.y0 >= -1, (name, text)
            assert box.x1 <= width + 1, (name, text)
            assert box.y1 <= height + 1, (name, text)
        for (a, box_a), (b, box_b) in combinations(shown.items(), 2):
            assert not box_a.overlaps(box_b) or box_a.bounds == box_b.bounds, (name, a, b)


def _on_axis(text: Text) -> bool:
    """Not a label of a tick beyond the limits, which is kept but not drawn."""
    for axis in (text.axes.xaxis, text.axes.yaxis):
        labels = {id(tick.label1): tick for tick in axis.get_major_ticks()}
        if id(text) in labels:
            low, high = sorted(axis.get_view_interval())
            return low <= labels[id(text)].get_loc() <= high
    return True


def test_bands_side_by_side_and_overlaid(bands, dos):
    reference, model, overlay, _ = draw_bands(bands, dos, NAMES).axes
    dft = bands.frequencies_reference.T * THZ_TO_CM1
    mace = bands.frequencies_model.T * THZ_TO_CM1
    np.testing.assert_allclose(lines_of(reference), dft)
    np.testing.assert_allclose(lines_of(model), mace)
    np.testing.assert_allclose(lines_of(overlay), np.concatenate([dft, mace]))
    assert [t.get_text() for t in reference.get_xticklabels()] == ["Γ", "M", "K", "Γ"]
    mae = np.abs(mace - dft).mean()
    assert f"{mae:.2f} cm⁻¹" in overlay.get_title()


def test_bands_in_another_unit(bands, dos):
    reference, *_ = draw_bands(bands, dos, NAMES, FrequencyUnit.THZ).axes
    np.testing.assert_allclose(lines_of(reference), bands.frequencies_reference.T)
    assert reference.get_ylabel() == "Frequency (THz)"


def test_imaginary_modes_are_in_view(bands, dos):
    soft = bands.frequencies_model.copy()
    soft[3, 0] = -1.5
    figure = draw_bands(
        type(bands)(
            bands.distances,
            bands.frequencies_reference,
            soft,
            bands.ticks,
            bands.segments,
        ),
        dos,
        NAMES,
    )
    assert figure.axes[0].get_ylim()[0] < -1.5 * THZ_TO_CM1


def test_the_difference_is_the_models_minus_the_references(dos):
    overlay, difference = draw_pdos(dos, NAMES).axes
    models = np.array(list(dos.model_projected.values())) / THZ_TO_CM1
    references = np.array(list(dos.reference_projected.values())) / THZ_TO_CM1
    np.testing.assert_allclose(lines_of(overlay), models)
    np.testing.assert_allclose(lines_of(difference), models - references)


def test_forces_are_coloured_by_element(parity):
    main = draw_force_parity(parity, NAMES).axes[0]
    drawn = {tuple(points.get_facecolor()[0][:3]): points for points in main.collections}
    for symbol in ("W", "Se"):
        points = drawn[to_rgb(style.element_color(symbol))].get_offsets()
        chosen = parity.symbols == symbol
        np.testing.assert_allclose(points[:, 0], parity.forces_reference[chosen].ravel())
        np.testing.assert_allclose(points[:, 1], parity.forces_model[chosen].ravel())


def test_energies_are_told_apart_by_kind(parity):
    main, residual = draw_energy_parity(parity, NAMES).axes
    assert len(main.collections) == len(set(parity.kinds))
    errors = np.concatenate([points.get_offsets()[:, 1] for points in residual.collections])
    wanted = 1e3 * (parity.energies_model - parity.energies_reference)
    np.testing.assert_allclose(np.sort(errors), np.sort(wanted))


def test_a_perfect_model_can_be_drawn(parity):
    perfect = type(parity)(
        parity.energies_reference,
        parity.energies_reference,
        parity.kinds,
        parity.forces_reference,
        parity.forces_reference,
        parity.symbols,
    )
    assert style.png(draw_energy_parity(perfect, NAMES)).startswith(b"\x89PNG")
    assert "MAE 0.0 meV/Å" in draw_force_parity(perfect, NAMES).axes[0].texts[0].get_text()


def test_bars_are_the_shells_and_points_the_elements(shells):
    errors, forces = draw_force_shells(shells, NAMES).axes
    assert [bar.get_height() for bar in errors.patches] == [shell.mae for shell in shells]
    assert [bar.get_height() for bar in forces.patches] == [s.mean_force / 1000 for s in shells]
    drawn = {line.get_label(): line for line in errors.lines}
    bars = [bar.get_x() + bar.get_width() / 2 for bar in errors.patches]
    assert bars[2] - bars[1] > bars[1] - bars[0]  # pristine cells lie at no distance
    for symbol, wanted in (("W", [29.04, 37.11, 21.26]), ("Se", [24.42, 15.61])):
        assert drawn[symbol].get_ydata().tolist() == wanted
        where = [x for x, s in zip(bars, shells, strict=True) if symbol in s.mae_by_element]
        assert np.abs(drawn[symbol].get_xdata() - where).max() < errors.patches[0].get_width() / 2
    assert errors.get_xticklabels()[0].get_text() == "≤ 3 Å\n3 atoms\n1 cell"


def test_learning_curve_is_logarithmic_in_meV(learning_curve):  # noqa: N802
    energy, force = draw_learning_curve(learning_curve).axes
    assert (energy.get_yscale(), force.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(
        energy.lines[0].get_ydata(), [1e3 * e["energy_mae"] for e in learning_curve]
    )
    assert energy.texts[0].get_text() == f"{1e3 * learning_curve[-1]['energy_mae']:.3g}"


def test_the_model_that_was_kept_is_marked(learning_curve):
    worse = [*learning_curve, {**learning_curve[0], "epoch": 33.0}]
    energy, _ = draw_learning_curve(worse).axes
    assert energy.texts[0].xy[0] == 1 + learning_curve[-1]["epoch"]


def test_figures_name_the_two_methods(figures):
    """What a report is not about stands nowhere in it."""
    wanted = {"bands", "pdos", "parity_energy", "parity_forces", "timing"}
    for name, figure in figures.items():
        words = " ".join(text.get_text() for text in figure.findobj(Text))
        assert "DFT" not in words, name
        if name in wanted:
            assert "GPAW PBE" in words, name
            assert "MACE" in words, name


def test_one_epoch_is_a_learning_curve(learning_curve):
    figure = draw_learning_curve(learning_curve[:1])
    assert style.png(figure).startswith(b"\x89PNG")


def test_timing_goes_by_kind_with_medians(timings):
    groups = timings_by_kind(timings)
    assert [g.n_atoms for g in groups] == sorted(g.n_atoms for g in groups)
    assert sum(len(g.timings) for g in groups) == len(timings)
    for group in groups:
        seconds = [t.reference_seconds for t in timings if t.kind == group.kind]
        assert group.reference_seconds == np.median(seconds)
        ratio = float(group.ratio.replace(",", ""))
        assert ratio == pytest.approx(group.reference_seconds / group.model_seconds, rel=0.1)


def test_any_element_has_one_colour_and_the_subject_two():
    assert style.element_color("Mo") == style.element_color("Mo")
    assert style.element_color("W") != style.element_color("Se")
