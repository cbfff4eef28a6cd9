"""Why a record is in or out, recipes and versions, through real imports and the real flow."""

import json
import os

import pytest
from forked import run_command

from forcebase.actions.datasets import build_dataset
from forcebase.curation.recipe import (
    CurationRecipe,
    change_steps,
    parse_step,
    read_recipe,
    recipe_text,
)
from forcebase.curation.steps import default_steps
from forcebase.datasets import diff, splits_of
from forcebase.datasets.membership import Standing, why
from forcebase.datasets.recipe import recipe_of
from forcebase.errors import InputError, MixedMethodsError, NotFoundError


@pytest.fixture(scope="module")
def built(new_database, imported):
    """The real cells, the usual dataset of them, and one of 20 records of each kind."""
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    usual = build_dataset(db, "d", {"elements": ["Se", "W"]})
    plan = CurationRecipe(
        filters={"kind": ["pristine-1x1", "pristine-2x2"]},
        steps=change_steps(
            default_steps(),
            [parse_step("stratified:n=20,by=kind"), parse_step("force-outliers:z=6")],
            ["near-duplicates"],
        ),
        fractions=(0.6, 0.2, 0.2),
        seed=2,
        license="CC-BY-4.0",
    )
    return db, usual, build_dataset(db, "d", {}, recipe=plan), plan


def one(db, dataset, split):
    return next(c for c, s in sorted(splits_of(db, dataset).items()) if s == split)


def forcebase(db, *arguments):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FORCEBASE_")}
    place = {"FORCEBASE_HOME": str(db.settings.home), "FORCEBASE_DATABASE": db.settings.database}
    return run_command(arguments, {**kept, **place})


def test_a_member_says_its_split_its_family_and_the_steps_it_passed(built):
    db, usual, *_ = built
    member = one(db, usual, "test")
    [answer] = why(db, member[:12], usual)
    assert (answer.standing, answer.split) == (Standing.MEMBER, "test")
    row = db.members.raw.find_one({"_id": f"{usual.id}:{member}"})
    assert answer.family == row["family"]
    assert answer.n_family == db.members.count(dataset=usual.id, family=row["family"])
    assert [step.step for step in answer.steps] == [step["name"] for step in usual.steps]
    assert all(step.passed for step in answer.steps)


def test_a_dropped_record_says_by_which_step_and_with_what_numbers(built):
    db, usual, *_ = built
    [answer] = why(db, one(db, usual, "dropped"), usual)
    assert answer.standing is Standing.DROPPED
    assert (answer.steps[-1].step, answer.steps[-1].passed) == ("energy-outliers", False)
    assert answer.reasons[0].startswith("energy -6.119 eV/atom")


def test_a_record_that_was_no_candidate_says_which_filter_it_fails(built):
    db, _, few, plan = built
    other = db.calculations.one({"kind": {"$nin": plan.filters["kind"]}})
    [answer] = why(db, other.id, few)
    assert (answer.standing, answer.steps) == (Standing.NO_CANDIDATE, ())
    [reason] = answer.reasons
    assert reason == f"kind is {other.kind}, not {','.join(plan.filters['kind'])}"


def test_a_structure_answers_by_its_calculations_and_others_are_refused(built):
    db, usual, *_ = built
    member = one(db, usual, "train")
    structure = db.calculations.get(member).structure
    assert [a.calculation for a in why(db, structure, usual)] == [member]
    with pytest.raises(NotFoundError, match="datasets hold calculations"):
        why(db, "d@1", usual)


def test_the_recipe_of_a_dataset_finds_it_again_and_its_file_too(built, tmp_path):
    db, usual, few, plan = built
    assert recipe_of(few).license == "CC-BY-4.0"
    assert {s.name for s in recipe_of(few).steps} == {"alike", *(s.name for s in plan.steps)}
    for dataset in (usual, few):
        path = tmp_path / "recipe.yaml"
        path.write_text(recipe_text(recipe_of(dataset)))
        assert build_dataset(db, "d", {}, recipe=read_recipe(path)).id == dataset.id
    assert db.datasets.count() == 2


def test_a_version_of_another_recipe_has_the_one_before_as_its_parent(built):
    db, usual, few, _ = built
    assert (few.version, few.parent) == (2, usual.id)
    assert sum(few.counts[s] for s in ("train", "valid", "test")) == 20
    old, new = splits_of(db, usual), splits_of(db, few)
    kept = {c: s for c, s in new.items() if s != "dropped" and old.get(c, "dropped") != "dropped"}
    assert kept
    assert all(old[c] == split for c, split in kept.items())


def test_the_difference_tells_steps_settings_filters_and_why_each_one_went(built):
    db, usual, few, _ = built
    found = diff(db, usual, few)
    assert found.steps["near-duplicates"][1] is None
    assert found.steps["stratified"] == (None, {"n": 20, "by": "kind", "seed": 0})
    assert [p["z"] for p in found.steps["force-outliers"]] == [5.0, 6]
    assert {"filters", "settings", "license"} <= set(found.changed)
    removed = {c for members in found.removed.values() for c in members}
    assert removed == {c for c in removed if c in found.dropped or c in found.gone}
    assert any(reason.startswith("kind is") for reason in found.gone.values())
    assert any("share of" in found.dropped.get(c, "") for c in removed)


def test_e0s_of_another_method_or_scale_make_no_dataset(built):
    db, usual, *_ = built
    n = db.datasets.count()
    right = dict(usual.e0s)
    with pytest.raises(MixedMethodsError, match="E0s belong to method 000"):
        build_dataset(db, "e", {}, recipe=CurationRecipe(e0s=right, e0s_method="0" * 64))
    with pytest.raises(InputError, match=r"The E0s leave .* eV/atom"):
        build_dataset(
            db, "e", {}, recipe=CurationRecipe(e0s={k: 27.2114 * v for k, v in right.items()})
        )
    with pytest.raises(InputError, match="No reference energy"):
        build_dataset(db, "e", {}, recipe=CurationRecipe(e0s={"W": right["W"]}))
    assert db.datasets.count() == n
    given = CurationRecipe(e0s=right, e0s_method=usual.method)
    made = build_dataset(db, "e", {}, recipe=given)
    assert (made.e0s_source, dict(made.e0s)) == ("given", right)
    assert build_dataset(db, "e", {}, recipe=recipe_of(made)).id == made.id


def test_unconverged_records_are_dropped_by_the_step_that_was_asked_for(built):
    db, usual, *_ = built
    victim = one(db, usual, "train")
    db.calculations.raw.update_one({"_id": victim}, {"$set": {"converged": False}})
    try:
        plan = CurationRecipe(steps=(parse_step("converged"), *default_steps()))
        made = build_dataset(db, "converged-only", {}, recipe=plan)
        [answer] = why(db, victim, made)
        assert answer.steps[-1].step == "converged"
        [usual_answer] = why(db, victim, build_dataset(db, "usual", {}))
        assert usual_answer.reasons == ("converged is False, not True",)
    finally:
        db.calculations.raw.update_one({"_id": victim}, {"$set": {"converged": True}})


def test_the_commands_say_the_same(built, tmp_path):
    db, usual, few, _ = built
    dropped = one(db, usual, "dropped")
    done = forcebase(db, "why", dropped, "d@1")
    assert done.returncode == 0, done.stderr
    assert "dropped by energy-outliers" in done.stdout
    [answer] = json.loads(forcebase(db, "why", dropped, "d@1", "--json").stdout)
    assert answer["standing"] == "dropped"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(forcebase(db, "dataset", "recipe", "d@2").stdout)
    again = forcebase(db, "dataset", "build", "d", "--recipe", recipe, "--json")
    assert json.loads(again.stdout)["id"] == few.id, again.stderr
    told = forcebase(db, "dataset", "diff", "d@1", "d@2")
    assert "~ step stratified: not taken -> n=20, by=kind, seed=0" in told.stdout
    wrong = forcebase(db, "dataset", "build", "x", "--step", "force-outliers:y=6")
    assert wrong.returncode != 0
    assert "no setting 'y'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
