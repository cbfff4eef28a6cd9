"""Cells of a DFT phonon are reserved, and released by a statement that names the phonon."""

import shutil

import pytest
from ase.build import bulk
from small_phonons import CASES, FCC, displaced

from forcebase.actions.datasets import build_dataset
from forcebase.curation.recipe import (
    CurationRecipe,
    change_steps,
    default_steps,
    parse_step,
    recipe_text,
)
from forcebase.datasets import dataset_frames
from forcebase.datasets.recipe import recipe_of
from forcebase.errors import InputError
from forcebase.ingest.importing import import_paths

FILTERS = {"elements": ["Cu"]}


def plan(*released):
    usual = change_steps(default_steps(), [], ["near-duplicates", "energy-outliers"])
    return CurationRecipe(steps=change_steps(usual, map(parse_step, released), []))


@pytest.fixture
def phonon(db, tmp_path):
    """Copper fitted to 12 random displacements of all atoms, beside one by single ones."""
    for name, random in (
        ("warm", {"distance": 0.1, "number_of_snapshots": 12, "random_seed": 5}),
        ("cold", {"distance": 0.01}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        made = displaced(bulk("Cu", cubic=True), [2, 2, 2], FCC, **random)
        made.save(folder / "phonopy_params.yaml", settings={"force_sets": True})
        shutil.copy(CASES / "phonopy_units_missing" / "method.yaml", folder)
        assert import_paths(db, [folder]).failed == []
    warm, cold = sorted(db.phonons.find(), key=lambda p: "amplitude_A" not in p.protocol)
    assert "displacement_A" in cold.protocol
    db.names.name("cu-warm", "phonons", warm.id)
    return warm


def cells_of(db, phonon):
    calculations = [e.record for e in phonon.provenance.edges if e.role == "displaced supercell"]
    return {db.calculations.get(c).structure for c in calculations}


def test_reserved_cells_are_refused_with_the_way_out(db, phonon):
    with pytest.raises(InputError, match=r"reserved for.*`--step released:phonon=NAME,why=\.\.\.`"):
        build_dataset(db, "cu", FILTERS, recipe=plan())


def test_a_released_phonons_own_cells_are_in_and_no_others(db, phonon):
    said = "released:phonon=cu-warm,why=the cold one is what models are compared with"
    dataset = build_dataset(db, "cu", FILTERS, recipe=plan(said))
    inside = set(dataset_frames(db, dataset).structures.tolist())
    assert inside == cells_of(db, phonon)
    assert len(inside) == 12
    (step,) = [dict(s) for s in dataset.steps if s["name"] == "released"]
    assert step["parameters"] == {
        "phonon": phonon.id,
        "why": "the cold one is what models are compared with",
    }
    dropped = list(db.members.find(dataset=dataset.id, split="dropped"))
    assert [m.step for m in dropped] == ["reserved"]
    assert build_dataset(db, "cu", FILTERS, recipe=plan(said)).id == dataset.id


def test_the_recipe_has_the_statement(db, phonon):
    dataset = build_dataset(
        db, "cu", FILTERS, recipe=plan(f"released:phonon={phonon.id},why=tests")
    )
    recipe = recipe_of(dataset)
    assert f"phonon: {phonon.id}" in recipe_text(recipe)
    assert build_dataset(db, "cu", FILTERS, recipe=recipe).id == dataset.id


def test_both_phonons_may_be_released(db, phonon):
    (cold,) = [p for p in db.phonons.find() if p.id != phonon.id]
    said = [f"released:phonon={p.id},why=tests" for p in (phonon, cold)]
    dataset = build_dataset(db, "cu", FILTERS, recipe=plan(*said))
    assert len(dataset_frames(db, dataset).ids) == 13
    assert "reserved" not in {s["name"] for s in dataset.steps}


def test_a_release_without_a_reason_or_cells_is_refused(db, phonon, tmp_path):
    with pytest.raises(InputError, match="without a word why"):
        parse_step("released:phonon=cu-warm,why=''")
    with pytest.raises(InputError, match="Step released needs why"):
        parse_step("released:phonon=cu-warm")
    folder = tmp_path / "silent"
    folder.mkdir()
    made = displaced(bulk("Cu", cubic=True), [2, 2, 2], FCC)
    made.produce_force_constants(show_drift=False)
    made.force_constants = 1.01 * made.force_constants
    made.save(
        folder / "phonopy_params.yaml", settings={"force_constants": True, "force_sets": False}
    )
    shutil.copy(CASES / "phonopy_units_missing" / "method.yaml", folder)
    before = {p.id for p in db.phonons.find()}
    assert import_paths(db, [folder]).failed == []
    (silent,) = [p for p in db.phonons.find() if p.id not in before]
    if any(e.role == "displaced supercell" for e in silent.provenance.edges):
        pytest.fail("bare force constants have no cells")
    with pytest.raises(InputError, match="no displaced supercells on record"):
        build_dataset(db, "cu", FILTERS, recipe=plan(f"released:phonon={silent.id},why=tests"))
