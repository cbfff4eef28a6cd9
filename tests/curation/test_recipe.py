import pytest

from forcebase.curation.recipe import (
    CurationRecipe,
    change_steps,
    parse_step,
    read_recipe,
    recipe_text,
)
from forcebase.curation.selection import FarthestPoint, Stratified
from forcebase.curation.steps import ForceOutliers, OneMethod, default_steps
from forcebase.errors import InputError


def test_a_step_is_read_from_its_name_and_settings():
    assert parse_step("force-outliers:z=6,limit=12.5") == ForceOutliers(z=6, limit=12.5)
    assert parse_step("stratified:n=5,by=family") == Stratified(5, by="family")
    assert parse_step("one-method:method=abc") == OneMethod("abc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outlier", "no step 'outlier'"),
        ("reserved", "no step 'reserved'"),
        ("force-outliers:y=6", "no setting 'y'"),
        ("force-outliers:z=high", "z cannot be 'high'"),
        ("force-outliers:z", "is not a setting"),
        ("farthest-point", "needs n"),
        ("farthest-point:n=true", "n cannot be True"),
        ("farthest-point:n=0", "n of step farthest-point cannot be 0"),
        ("stratified:n=3,by=colour", "no strata by 'colour'"),
    ],
)
def test_what_is_no_step_is_refused_by_name(text, message):
    with pytest.raises(InputError, match=message) as error:
        parse_step(text)
    assert error.value.hint


def test_steps_are_changed_in_place_added_at_the_end_and_left_out():
    changed = change_steps(
        default_steps(), [ForceOutliers(z=9), FarthestPoint(3)], ["near-duplicates"]
    )
    names = [step.name for step in changed]
    assert names == [s.name for s in default_steps() if s.name != "near-duplicates"] + [
        "farthest-point"
    ]
    assert ForceOutliers(z=9) in changed
    with pytest.raises(InputError, match="'reserved' cannot be skipped"):
        change_steps(default_steps(), [], ["reserved"])


def test_the_text_of_a_plan_reads_back_as_the_plan(tmp_path):
    recipe = CurationRecipe(
        filters={"elements": ["Se", "W"]},
        steps=(OneMethod(), ForceOutliers(z=6), Stratified(20, by="composition", seed=3)),
        fractions=(0.7, 0.1, 0.2),
        seed=4,
        e0s={"W": -3.5, "Se": -2.0},
        e0s_method="0" * 64,
        license="CC-BY-4.0",
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(recipe))
    assert read_recipe(path) == recipe
    assert read_recipe(path) != CurationRecipe()
    path.write_text("{}")
    assert read_recipe(path) == CurationRecipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: []", "no field 'stepz'"),
        ("steps: [{a: {}, b: {}}]", "is not a step"),
        ("seed: many", "seed of a recipe cannot be 'many'"),
        ("- one-method", "no field"),
    ],
)
def test_a_wrong_recipe_is_refused(text, message, tmp_path):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / "r.yaml")
