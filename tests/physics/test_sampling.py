from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import mx2
from hypothesis import given, settings
from hypothesis import strategies as st

from forcebase.digest import structure_digest
from forcebase.errors import InputError
from forcebase.physics.sampling import (
    CellDraws,
    SamplingPlan,
    rattle,
    rebuild,
    remove_site,
    sample,
    strain,
    supercell,
)

SMALL = st.floats(-0.02, 0.02)
PLAN = SamplingPlan(
    cells=(CellDraws(1, 3), CellDraws(2, 2), CellDraws(2, 2, vacancy="Se")), strain=0.015, seed=7
)


@pytest.fixture
def layer() -> Atoms:
    atoms = mx2("WSe2", a=3.31, thickness=3.36, vacuum=6.0)
    atoms.pbc = True
    return atoms


def digest(atoms: Atoms) -> str:
    return structure_digest(atoms.numbers, atoms.cell.array, atoms.positions, atoms.pbc)


@settings(max_examples=25, deadline=None)
@given(SMALL, SMALL, SMALL)
def test_strain_acts_in_the_plane_alone(exx: float, eyy: float, exy: float) -> None:
    atoms = mx2("WSe2", a=3.31, thickness=3.36, vacuum=6.0)
    strained = strain(atoms, exx, eyy, exy)
    deformation = np.linalg.solve(atoms.cell.array, strained.cell.array)
    expected = np.array([[1 + exx, exy, 0], [exy, 1 + eyy, 0], [0, 0, 1]])
    np.testing.assert_allclose(deformation, expected, atol=1e-12)
    np.testing.assert_allclose(strained.positions[:, 2], atoms.positions[:, 2], atol=1e-12)
    np.testing.assert_allclose(
        strained.get_scaled_positions(), atoms.get_scaled_positions(), atol=1e-12
    )


def test_strain_changes_the_area_by_its_determinant(layer: Atoms) -> None:
    strained = strain(layer, 0.01, -0.02, 0.005)
    expected = (1.01 * 0.98 - 0.005**2) * layer.cell.volume
    assert strained.cell.volume == pytest.approx(expected, rel=1e-12)


def test_rattle_has_the_spread_that_was_asked_for(layer: Atoms) -> None:
    big = supercell(layer, (20, 20, 1))
    moved = rattle(big, 0.05, seed=3).positions - big.positions
    assert moved.std() == pytest.approx(0.05, rel=0.05)
    assert abs(moved.mean()) < 0.005


def test_functions_leave_their_input_as_it_is(layer: Atoms) -> None:
    before = digest(layer)
    strain(layer, 0.01, 0.01, 0.0)
    rattle(layer, 0.1, seed=1)
    remove_site(layer, 1)
    assert digest(layer) == before


def test_vacancy_takes_the_named_site(layer: Atoms) -> None:
    cell = supercell(layer, (2, 2, 1))
    defective = remove_site(cell, 5)
    assert defective.get_chemical_formula() == "Se7W4"
    np.testing.assert_array_equal(defective.positions[5:], cell.positions[6:])


def test_a_site_that_is_not_there_is_refused(layer: Atoms) -> None:
    with pytest.raises(InputError, match="cannot be removed"):
        remove_site(layer, 3)
    with pytest.raises(InputError, match="no S in"):
        sample(layer, SamplingPlan(cells=(CellDraws(2, 1, vacancy="S"),)))


def test_the_same_plan_gives_the_same_structures(layer: Atoms) -> None:
    first, second = sample(layer, PLAN), sample(layer, PLAN)
    assert [made.family for made in first] == [made.family for made in second]
    assert [made.recipe for made in first] == [made.recipe for made in second]
    assert len({made.family for made in first}) == 7


def test_another_seed_gives_others(layer: Atoms) -> None:
    other = SamplingPlan(cells=PLAN.cells, seed=8)
    ours = {made.family for made in sample(layer, PLAN)}
    assert ours.isdisjoint(made.family for made in sample(layer, other))


def test_a_larger_count_keeps_the_draws_that_were_there(layer: Atoms) -> None:
    more = SamplingPlan(cells=(CellDraws(2, 3, vacancy="Se"), CellDraws(1, 4)), seed=7)
    kept = {made.family for made in sample(layer, PLAN) if made.kind != "pristine-2x2"}
    assert kept < {made.family for made in sample(layer, more)}


def test_the_recipe_makes_the_structure_again(layer: Atoms) -> None:
    for made in sample(layer, PLAN):
        assert digest(rebuild(layer, made.recipe)) == made.family == digest(made.atoms)


def test_a_recipe_of_another_unit_cell_is_refused(layer: Atoms) -> None:
    recipe = sample(layer, PLAN)[0].recipe
    with pytest.raises(InputError, match="another unit cell"):
        rebuild(strain(layer, 0.01, 0.0, 0.0), recipe)


def test_kinds_recipes_and_limits(layer: Atoms) -> None:
    drawn = sample(layer, PLAN)
    assert [made.kind for made in drawn] == (
        ["pristine-1x1"] * 3 + ["pristine-2x2"] * 2 + ["Se-vacancy-2x2"] * 2
    )
    assert [len(made.atoms) for made in drawn] == [3, 3, 3, 12, 12, 11, 11]
    assert drawn[0].recipe["operation"] == "strain+rattle"
    assert drawn[-1].recipe["operation"] == "supercell+vacancy+strain+rattle"
    for made in drawn:
        parameters = made.recipe["parameters"]
        assert made.recipe["parent"] == digest(layer)
        assert max(abs(parameters["exx"]), abs(parameters["eyy"])) <= PLAN.strain
        assert abs(parameters["exy"]) <= PLAN.strain / 2
        assert PLAN.rattle[0] <= parameters["rattle_std"] <= PLAN.rattle[2]


def test_a_kind_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        SamplingPlan(cells=(CellDraws(2, 1), CellDraws(2, 3)))


def test_a_plan_survives_the_road() -> None:
    assert SamplingPlan.from_dict(PLAN.as_dict()) == PLAN
