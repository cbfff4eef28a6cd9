import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from forcebase.curation.pipeline import Curation, Parent, curate
from forcebase.curation.steps import LabelsPresent, NearDuplicates, OneMethod, Reserved
from forcebase.digest import structure_digest
from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames
from forcebase.physics.reference_energies import fit_e0s

DATA = Path(__file__).parents[2] / "data" / "wse2_gpaw" / "wse2_gpaw_pbe.extxyz"
RECIPE = Curation("wse2", query={"formula": "W*Se*"})


@pytest.fixture(scope="module")
def wse2() -> Frames:
    """The real DFT cells; each rattle seed is a family."""
    cells = read(DATA, index=":")
    return Frames.from_atoms(
        cells,
        ids=[f"calc-{a.info['dft_index']:04d}" for a in cells],
        structures=[structure_digest(a.numbers, a.cell.array, a.positions, a.pbc) for a in cells],
        families=[f"seed-{a.info['rattle_seed']}" for a in cells],
        kinds=[a.info["kind"] for a in cells],
        methods=["gpaw-pbe"] * len(cells),
        energies=[a.info["REF_energy"] for a in cells],
        forces=[a.arrays["REF_forces"] for a in cells],
        stresses=[a.info["REF_stress"] for a in cells],
    )


def family_splits(output) -> dict[str, str]:
    return {member["family"]: member["split"] for member in output["members"]}


def as_parent(output) -> Parent:
    return {"dataset": "v1", "version": output["version"], "splits": family_splits(output)}


def without_time(output) -> dict:
    return {key: value for key, value in output.items() if key != "wall_time"}


def test_real_cells_lose_the_one_extreme_cell_with_numbers_in_the_reason(wse2):
    output = curate(wse2, RECIPE)
    (drop,) = output["dropped"]
    assert drop["calculation"] == "calc-0093"
    assert drop["step"] == "energy-outliers"
    assert drop["reason"].startswith("energy -6.119 eV/atom")
    assert len(output["members"]) == 67
    assert output["method"] == "gpaw-pbe"
    assert (output["version"], output["parent"]) == (1, None)
    assert [s["n_in"] - s["n_dropped"] for s in output["steps"]][-1] == 67
    assert json.loads(json.dumps(output)) == output


def test_no_family_is_in_two_splits_and_each_split_is_there(wse2):
    doubled = replace(wse2, families=np.array([f[:7] for f in wse2.families]))
    output = curate(doubled, RECIPE)
    by_family = {}
    for member in output["members"]:
        by_family.setdefault(member["family"], set()).add(member["split"])
    assert all(len(splits) == 1 for splits in by_family.values())
    assert {m["split"] for m in output["members"]} == {"train", "valid", "test"}


def test_order_of_the_candidates_does_not_matter(wse2):
    shuffled = wse2.take(np.random.default_rng(0).permutation(len(wse2)))
    assert without_time(curate(shuffled, RECIPE)) == without_time(curate(wse2, RECIPE))


def test_a_second_version_keeps_every_split_of_the_first(wse2):
    first = curate(wse2.take(range(40)), RECIPE)
    second = curate(wse2, RECIPE, as_parent(first))
    assert second["version"] == 2
    assert second["parent"] == "v1"
    before, after = family_splits(first), family_splits(second)
    assert {f: after[f] for f in before if f in after} == {
        f: s for f, s in before.items() if f in after
    }
    assert len(second["members"]) > len(first["members"])


def test_a_new_copy_of_a_test_record_cannot_take_its_place(wse2):
    first = curate(wse2, RECIPE)
    tested = next(m for m in first["members"] if m["split"] == "test")
    index = int(np.flatnonzero(wse2.ids == tested["calculation"])[0])
    copy = wse2.take([index])
    # Its id comes first by name, and it claims to be of a family of its own.
    copy = replace(copy, ids=np.array(["a-copy"]), families=np.array(["elsewhere"]))
    per_atom = {"numbers", "positions", "forces", "n_atoms"}
    both = Frames(
        **{
            name: np.concatenate([getattr(copy, name), getattr(wse2, name)])
            for name in {*per_atom, "ids", "structures", "families", "kinds", "methods"}
            | {"cells", "pbc", "energies", "stresses"}
        }
    )
    second = curate(both, RECIPE, as_parent(first))
    drop = next(d for d in second["dropped"] if d["calculation"] == "a-copy")
    assert drop["step"] == "near-duplicates"
    assert tested["calculation"] in drop["reason"]
    assert tested in second["members"]


def test_e0s_are_fitted_on_train_alone_or_taken_as_given(wse2):
    output = curate(wse2, RECIPE)
    names = [m["calculation"] for m in output["members"] if m["split"] == "train"]
    train = wse2.take(np.flatnonzero(np.isin(wse2.ids, names)))
    assert output["e0s_source"] == "fitted"
    assert output["e0s"] == pytest.approx(fit_e0s(train.numbers, train.owners, train.energies))
    given = curate(wse2, replace(RECIPE, e0s={"W": -7, "Se": -6}))
    assert (given["e0s_source"], given["e0s"]) == ("given", {"W": -7.0, "Se": -6.0})
    with pytest.raises(InputError, match="for W"):
        curate(wse2, replace(RECIPE, e0s={"Se": -6.0}))


def test_refuses_a_mixture_of_methods_also_without_the_step(wse2):
    methods = wse2.methods.copy()
    methods[0] = "vasp"
    mixed = replace(wse2, methods=methods)
    with pytest.raises(MixedMethodsError, match="gpaw-pbe"):
        curate(mixed, RECIPE)
    with pytest.raises(MixedMethodsError, match="one-method"):
        curate(mixed, replace(RECIPE, steps=(LabelsPresent(),)))
    chosen = curate(mixed, replace(RECIPE, steps=(OneMethod("gpaw-pbe"), LabelsPresent())))
    assert chosen["dropped"][0]["step"] == "one-method"


def test_refuses_candidates_that_make_no_dataset(wse2):
    with pytest.raises(InputError, match="no candidates"):
        curate(wse2.take([]), RECIPE)
    with pytest.raises(InputError, match="more than once"):
        curate(wse2.take([0, 0, 1]), RECIPE)
    with pytest.raises(InputError, match="no structure family"):
        curate(replace(wse2, families=np.full(len(wse2), "")), RECIPE)
    blank = replace(wse2, energies=np.full(len(wse2), np.nan))
    with pytest.raises(InputError, match="after step labels-present"):
        curate(blank, RECIPE)


def test_a_recipe_survives_the_road():
    recipe = replace(
        RECIPE, steps=(OneMethod("m"), Reserved("tests", ("s",)), NearDuplicates(0.02)), seed=3
    )
    assert Curation.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe
