"""Errors, parity and tables of comparisons, against NumPy; the learning curve; the handle."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from forcebase.actions.running_there import Handle
from forcebase.errors import InputError
from forcebase.remote.submission import Submission


@pytest.fixture(scope="module")
def both(silicon, pair):
    """Both sides' records of the structures, in one order."""
    sides = [
        {c.structure: c for c in silicon.calculations.find(method=name, kind="rattled")}
        for name in ("lj", "tersoff")
    ]
    return [(sides[0][s], sides[1][s]) for s in sorted(sides[1])]


def test_a_model_labels_what_it_is_compared_on(silicon, pair, both):
    assert pair.validation.n == len(both) == 12
    again = silicon.compare(silicon.get("lj"), silicon.get("tersoff"), on={"kind": "rattled"})
    assert again.validation == pair.validation


def test_errors_by_attribute_are_those_of_numpy(pair, both):
    off = np.concatenate([1e3 * (m.forces - r.forces) for m, r in both])
    assert pair.errors.forces.mae == pytest.approx(np.abs(off).mean(), rel=1e-9)
    assert pair.errors.forces.rmse == pytest.approx(np.sqrt((off**2).mean()), rel=1e-9)
    energies = [1e3 * (m.energy - r.energy) / r.n_atoms for m, r in both]
    assert pair.errors.energy.mae == pytest.approx(np.abs(energies).mean(), rel=1e-9)
    assert pair.errors.forces.unit == "meV/A"
    assert pair.errors.forces_by_element.Si.mae == pair.errors["forces"]["mae"]
    assert pair.errors.by_kind["rattled"].forces.mae == pair.errors.forces.mae
    assert dict(pair.metrics) == dict(pair.validation.metrics)
    assert "forces" in dir(pair.errors)
    with pytest.raises(AttributeError, match=r"no 'force'.*forces"):
        pair.errors.force  # noqa: B018
    assert "MAE" in pair._repr_html_()
    assert "meV/A" in repr(pair.errors)


def test_the_largest_force_error_has_its_structure(silicon, pair, both):
    errors = pair.force_errors()
    sizes = {r.id: np.linalg.norm(m.forces - r.forces, axis=1) for m, r in both}
    worst = max(sizes, key=lambda name: sizes[name].max())
    assert errors.calculations[0] == worst == errors.worst.id
    assert errors.largest[0] == pytest.approx(sizes[worst].max(), rel=1e-12)
    assert errors.atoms[0] == sizes[worst].argmax()
    assert list(errors.largest) == sorted(errors.largest, reverse=True)
    for name, largest, mae in zip(errors.calculations, errors.largest, errors.mae, strict=True):
        assert largest == pytest.approx(sizes[name].max())
        model, reference = next(both_ for both_ in both if both_[1].id == name)
        assert mae == pytest.approx(np.abs(model.forces - reference.forces).mean())
    assert len(errors.worst.structure.atoms) == 8
    assert len(errors.to_dataframe()) == len(errors) == 12
    assert worst[:10] in repr(errors)


def test_parity_is_drawn_from_the_records(pair, both):
    parity = pair.parity()
    np.testing.assert_allclose(
        np.sort(parity.data.energies_model), np.sort([m.energy / m.n_atoms for m, _ in both])
    )
    assert parity.data.forces_reference.shape == (96, 3)
    figure = parity.plot()
    assert isinstance(figure, Figure)
    drawn = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(drawn[:, 0], parity.data.energies_reference)
    np.testing.assert_allclose(drawn[:, 1], parity.data.energies_model)
    assert {"tersoff energy (eV/atom)", "lj energy (eV/atom)"} <= {
        text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())
    }
    assert isinstance(pair.plot(), Figure)


def test_histograms_count_all(pair):
    figure = pair.force_errors().plot()
    for axes, n in zip(figure.axes, (12, 288), strict=True):
        bars = sum(patch.get_height() for patch in axes.containers[0])
        assert bars == n
    assert "meV/atom" in figure.axes[0].get_xlabel()


def test_energies_that_were_aligned_are_drawn_so(silicon):
    found = silicon.compare("lj", "tersoff", on={"kind": "rattled"}, align="mean")
    data = found.parity().data
    off = 1e3 * np.abs(data.energies_model - data.energies_reference)
    assert off.mean() == pytest.approx(found.errors.energy.mae, rel=1e-6)
    raw = silicon.compare("lj", "tersoff", on={"kind": "rattled"})
    assert found.errors.energy.mae < raw.errors.energy.mae


def test_tables(silicon, pair):
    table = silicon.validations.find(kind="labels").to_dataframe()
    row = table[table["id"] == pair.validation.id].iloc[0]
    assert row["forces.mae"] == pair.errors.forces.mae
    assert row["forces_by_element.Si.rmse"] == pair.errors.forces.rmse
    assert (row["model_name"], row["reference_name"]) == ("lj", "tersoff")
    assert not [name for name in table.columns if name.startswith(("by_kind", "intervals"))]
    found = silicon.calculations.find(method="tersoff", kind="rattled")
    frame = found.to_dataframe(forces=True)
    assert isinstance(frame, pd.DataFrame)
    assert set(frame["method_name"]) == {"tersoff"}
    for record, forces, stress in zip(found, frame["forces"], frame["stress"], strict=True):
        np.testing.assert_array_equal(forces, record.forces)
        np.testing.assert_array_equal(stress, record.stress)
    assert "forces" not in found.to_dataframe()
    assert frame["structure"].map(type).eq(str).all()


def test_two_phonons_are_compared_and_drawn(silicon):
    reference = silicon.get("si-phonon")
    other = silicon.phonon("tersoff", "si", supercell=(2, 2, 2), displacement=0.03)
    found = silicon.compare(other, reference, allow=["displacement"])
    assert 0 < found.errors.band_mae_THz < 0.05
    assert found.errors.band_mae_THz == found.metrics["band_mae_THz"]
    assert isinstance(found.plot(), Figure)
    table = silicon.validations.find(kind="phonons").to_dataframe()
    assert table["band_mae_THz"][0] == found.errors.band_mae_THz
    assert "band MAE" in found._repr_html_()
    with pytest.raises(InputError, match="comparison of phonons, not of labels"):
        found.parity()


def test_a_comparison_without_filling_is_as_before(silicon, session):
    from forcebase.errors import NotFoundError

    with pytest.raises(NotFoundError, match="no structure in common"):
        silicon.compare("lj", "tersoff", on={"n_atoms": 2}, fill=False)


def test_a_model_that_was_not_trained_has_no_curve(silicon):
    with pytest.raises(InputError, match=r"no learning curve.*db.train"):
        silicon.get("tersoff").learning()


def test_handles_say_what_they_wait_for(silicon):
    asked = Submission("p", "12345678-x", "training on <si>", ["7", "8"], ["gpu"], [])
    handle = Handle(silicon, asked, lambda report: None)
    assert repr(handle) == (
        "<Handle 'training on <si>' flow 12345678, jobs 7, 8; state() says how far it is, "
        "result() waits for it>"
    )
    assert "&lt;si&gt;" in handle._repr_html_()
    assert "nothing was missing" in repr(Handle(silicon, None, lambda report: None))
