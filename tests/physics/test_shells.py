from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, graphene

from forcebase.errors import InputError
from forcebase.physics.shells import (
    Shells,
    distances_from,
    image_radius,
    misfit,
    sides,
    vectors_from,
)


@pytest.fixture
def layer(wse2):
    return wse2.repeat((4, 4, 1))


def test_edges_belong_to_the_inner_shell():
    shells = Shells((3.0, 6.0))
    assert shells.of([0.0, 3.0, 3.1, 6.0, 6.1]).tolist() == [0, 0, 1, 1, 2]
    assert len(shells) == 3
    assert shells.labels == ("≤ 3 Å", "3–6 Å", "> 6 Å")


@pytest.mark.parametrize("edges", [(), (6.0, 3.0), (0.0, 1.0), (float("nan"),), (3.0, 3.0)])
def test_edges_that_do_not_rise_are_refused(edges):
    with pytest.raises(InputError, match="not edges"):
        Shells(edges)


def test_distances_are_those_of_the_nearest_image(layer):
    """The same as ASE's minimum-image distances to an atom that sits at the centre."""
    site = 17
    centre = layer.get_scaled_positions()[site]
    expected = layer.get_distances(site, range(len(layer)), mic=True)
    np.testing.assert_allclose(distances_from(layer, centre), expected, atol=1e-9)
    shifted = centre + np.array([3, -2, 0])
    np.testing.assert_allclose(distances_from(layer, shifted), expected, atol=1e-9)
    assert vectors_from(layer, centre).shape == (len(layer), 3)


def test_half_the_shortest_translation_is_the_image_radius(layer):
    assert image_radius(layer) == pytest.approx(2 * 3.3109, abs=1e-3)
    assert image_radius(bulk("Cu", a=3.6)) == pytest.approx(3.6 / np.sqrt(2) / 2)
    assert misfit(layer, Shells((3.0, 6.0))) is None
    assert "6.62" in misfit(layer, Shells((3.0, 8.0)))


def test_a_layer_has_sides_wherever_it_lies_in_the_cell(wse2):
    for shift in (0.0, 5.0, 8.0, 11.0):
        moved = wse2.copy()
        moved.positions[:, 2] += shift
        moved.wrap()
        named = dict(zip(moved.get_chemical_symbols(), sides(moved), strict=True))
        assert named["W"] == "middle"
        se = [
            s for s, a in zip(sides(moved), moved.get_chemical_symbols(), strict=True) if a == "Se"
        ]
        assert sorted(se) == ["bottom", "top"]


def test_what_is_no_layer_has_no_sides():
    assert sides(bulk("Cu", a=3.6)) is None
    assert set(sides(graphene(vacuum=8.0))) == {"middle"}
