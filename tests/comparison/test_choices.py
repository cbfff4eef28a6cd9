"""What a comparison may be asked for: alignment, unseen structures, several at once, noise."""

from __future__ import annotations

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.blob import Blob
from forcebase.comparison import Selection, compare, compare_labels, compare_matrix
from forcebase.comparison.labels import select_pairs
from forcebase.comparison.leakage import Only
from forcebase.comparison.noise import noise_floors
from forcebase.errors import InputError, IntegrityError, NotFoundError
from forcebase.records import Calculation, ModelMethod
from forcebase.records.base import document_checksum
from forcebase.report.matrix import write_matrix_picture

GIVEN = (*Calculation.GIVEN, "charge", "k_mesh", "convergence")
SHIFTS = {"Se": 0.3, "W": -1.2}


@pytest.fixture
def dft(db, imported):
    """The database with the labelled cells, and their method."""
    imported(db, "wse2_gpaw_pbe.extxyz")
    return db.methods.one()


def a_model(db, name, **fields):
    """A model's record; its labels are given by the test, so its weights are never run."""
    fields = {"dtype": "float64", "weights": Blob(name.encode()).sha256, **fields}
    model = ModelMethod(kind="MACE", elements=["Se", "W"], **fields).sealed()
    db.methods.add([model])
    db.names.name(name, "methods", model.id)
    return model


def answer(db, model, calculations, shifts=None, force=0.0):
    """Label as the reference does, with another zero of each element, and forces that are off."""
    for found in calculations:
        structure = db.structures.get(found.structure)
        symbols = structure.to_atoms().get_chemical_symbols()
        off = sum((shifts or {}).get(symbol, 0.0) for symbol in symbols)
        labels = {"energy": found.energy + off, "forces": found.forces + force}
        given = {} if model.is_model else {name: getattr(found, name) for name in GIVEN}
        made = Calculation.of(structure, model, stress=found.stress, **labels, **given)
        db.calculations.add([made])


def test_another_zero_of_each_element_is_found_and_said(db, dft):
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id), SHIFTS)
    plain = compare(db, "m", dft.id).validation
    assert plain.metrics["overall"]["energy"]["mae"] > 100
    assert "alignment" not in plain.metrics
    aligned = compare(db, "m", dft.id, align="composition").validation
    assert aligned.metrics["overall"]["energy"]["max"] == pytest.approx(0, abs=1e-6)
    found = aligned.metrics["alignment"]
    assert found["n_parameters"] == 2
    assert found["shifts_eV_per_atom"] == pytest.approx(SHIFTS)
    mean = compare(db, "m", dft.id, align="mean").metrics
    assert mean["alignment"]["n_parameters"] == 1
    assert 0 < mean["overall"]["energy"]["mae"] < plain.metrics["overall"]["energy"]["mae"]
    assert mean["overall"]["forces"] == plain.metrics["overall"]["forces"]


def test_an_alignment_that_cannot_be_fitted_is_refused(db, dft):
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id))
    with pytest.raises(InputError, match="in one ratio"):
        compare(db, "m", dft.id, {"kind": "pristine-1x1"}, align="composition")
    few = [c.structure for c in db.calculations.find(method=dft.id, limit=2)]
    with pytest.raises(InputError, match="2 structures cannot tell 2 shifts"):
        compare(db, "m", dft.id, {"structure": few}, align="composition")
    with pytest.raises(InputError, match="not aligned by 'median'"):
        compare(db, "m", dft.id, align="median")


def test_percentiles_intervals_and_families(db, dft):
    model = a_model(db, "m")
    for i, found in enumerate(db.calculations.find(method=dft.id, sort="id")):
        answer(db, model, [found], force=0.001 * (i + 1))
    metrics = compare(db, "m", dft.id).metrics
    forces = metrics["overall"]["forces"]
    assert 1 <= forces["p50"] < forces["p90"] < forces["p95"] < forces["p99"] <= forces["max"]
    interval = metrics["overall"]["intervals"]["forces"]["mae"]
    assert interval["low"] < forces["mae"] < interval["high"]
    assert (
        interval["n_groups"]
        == metrics["n_families"]
        == len(
            {s.family for s in db.structures.find(id=[c.structure for c in db.calculations.find()])}
        )
    )
    worst = [family["forces_rmse"] for family in metrics["worst_families"]]
    assert worst == sorted(worst, reverse=True)
    assert len(worst) == 20
    assert worst[0] <= forces["max"]


def test_only_what_the_model_has_not_seen(db, dft):
    dataset = build_dataset(db, "d", {"elements": ["Se", "W"]})
    every = db.calculations.find(method=dft.id)
    for name, fields in (
        ("trained", {"dataset": dataset.id}),
        ("foreign", {}),
        ("tuned", {"parent": a_model(db, "base", dataset=dataset.id).id}),
    ):
        answer(db, a_model(db, name, **fields), every)
    whole = compare(db, "trained", dft.id).validation
    seen = whole.leakage["n_in_training"] + whole.leakage["n_same_family"]
    unseen = compare(db, "trained", dft.id, only="unseen").validation
    assert unseen.n == whole.leakage["n_new"] == whole.n - seen > 0
    assert dict(unseen.leakage) == {
        "n_in_training": 0,
        "n_same_family": 0,
        "n_new": unseen.n,
        "n_unknown": 0,
    }
    with pytest.raises(InputError, match="has seen all of these"):
        compare(db, "trained", dft.id, "d:train", only="unseen")
    foreign = compare(db, "foreign", dft.id).validation
    assert (foreign.leakage["n_new"], foreign.leakage["n_unknown"]) == (0, foreign.n)
    with pytest.raises(InputError, match="is not in this database"):
        compare(db, "foreign", dft.id, only="unseen")
    tuned = compare(db, "tuned", dft.id).validation.leakage  # by way of what it was tuned from
    assert tuned["n_in_training"] == whole.leakage["n_in_training"]
    assert tuned["n_unknown"] == whole.leakage["n_new"]


def test_a_comparison_is_found_again_and_on_demand_computed_again(db, dft):
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id), SHIFTS, 0.01)
    first = compare(db, "m", dft.id, host=None).validation
    edited = db.validations.raw.find_one({"_id": first.id})
    edited["metrics"]["overall"]["forces"]["mae"] = 1.0
    edited["checksum"] = document_checksum(edited)
    db.validations.raw.replace_one({"_id": first.id}, edited)
    assert compare(db, "m", dft.id).metrics["overall"]["forces"]["mae"] == 1.0  # not computed
    with pytest.raises(IntegrityError, match="not what record"):
        compare(db, "m", dft.id, recompute=True)
    db.validations.raw.delete_one({"_id": first.id})
    assert compare(db, "m", dft.id, recompute=True).validation.id == first.id
    assert compare(db, "m", dft.id, recompute=True).validation.id == first.id


def test_a_record_that_says_something_else_is_told(db, dft):
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id), SHIFTS, 0.01)
    made = db.validations.raw.find_one({"_id": compare(db, "m", dft.id).validation.id})
    db.validations.raw.delete_one({"_id": made["_id"]})
    db.validations.raw.insert_one({**made, "_id": "0" * 64})
    with pytest.raises(IntegrityError, match="not what record 0000000000 says"):
        compare(db, "m", dft.id, recompute=True)


def test_several_models_are_held_to_one_reference_on_common_cells(db, dft, tmp_path):
    every = db.calculations.find(method=dft.id, sort="id")
    one, other, idle = (a_model(db, name) for name in ("one", "other", "idle"))
    answer(db, one, every, force=0.01)
    answer(db, other, every[:40], force=0.02)
    matrix = compare_matrix(db, [one, other], [dft, one], Selection())
    assert len(matrix.cells) == 4
    assert {found.n for found in matrix.cells.values()} == {40}
    errors = {key: found.metrics["overall"]["forces"]["mae"] for key, found in matrix.cells.items()}
    assert errors[one.id, dft.id] == pytest.approx(10)
    assert errors[other.id, dft.id] == pytest.approx(20)
    assert errors[other.id, one.id] == pytest.approx(10)
    assert errors[one.id, one.id] == 0
    assert len(matrix.missing[other.id, dft.id]) == 28
    assert matrix.unlabelled(other) == sorted(c.structure for c in every[40:])
    write_matrix_picture(matrix, {m.id: m.title for m in (one, other, dft)}, tmp_path / "m.png")
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"
    empty = compare_matrix(db, [one, idle], [dft], Selection())
    assert empty.cells[one.id, dft.id] is None
    assert len(empty.missing[idle.id, dft.id]) == 68


def test_the_noise_floor_is_that_of_replicates_and_of_float32(db, dft):
    few = db.calculations.find(method=dft.id, limit=6)
    weights = Blob(b"same").sha256
    model = a_model(db, "m", weights=weights)
    answer(db, model, few, force=0.05)
    assert noise(db, model, dft) == []
    answer(db, a_model(db, "single", weights=weights, dtype="float32"), few[:4], force=0.0501)
    answer(db, dft, few[:3], force=0.002)
    replicates, precision = noise(db, model, dft)
    assert (replicates.what, replicates.method, replicates.other) == ("replicates", dft.id, dft.id)
    assert replicates.errors.n_structures == 3
    assert replicates.errors.forces.mae == pytest.approx(2)
    assert (precision.what, precision.method) == ("precision", model.id)
    assert precision.errors.n_structures == 4
    assert precision.errors.forces.mae == pytest.approx(0.1)


def noise(db, model, reference):
    return noise_floors(db, model, reference, select_pairs(db, model, reference, Selection()))


def test_numbers_of_more_threads_make_no_other_record(db, dft):
    """The last digits of a sum depend on the number of threads: ten are kept."""
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id), SHIFTS, 0.01)
    found = compare_labels(db, db.require_model("m"), dft)
    for value in leaves(found.to_mongo().to_dict()["metrics"]):
        assert value == float(f"{value:.10g}")


def leaves(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, float):
        yield value


def test_labels_read_in_parts_give_the_same_comparison(db, dft, monkeypatch):
    every = db.calculations.find(method=dft.id)
    answer(db, a_model(db, "m"), every, SHIFTS, 0.01)
    told = []
    whole = compare(db, "m", dft.id, align="composition", host=None).validation
    monkeypatch.setattr("forcebase.comparison.joining.PAIRS_AT_ONCE", 7)
    again = compare(
        db, "m", dft.id, align="composition", recompute=True, progress=lambda *s: told.append(s)
    ).validation
    assert again.id == whole.id
    assert [done for _, done, _, _ in told] == [*range(7, 68, 7), 68]
    assert {(stage, total) for stage, _, total, _ in told} == {("compare", 68)}


def test_few_of_many_structures_are_joined_by_look_up_and_all_by_scan(db, dft):
    every = db.calculations.find(method=dft.id, sort="id")
    model = a_model(db, "m")
    answer(db, model, every[::2])
    whole = select_pairs(db, model, dft, Selection())
    assert len(whole) == 34
    assert whole.missing == sorted(c.structure for c in every[1::2])
    few = select_pairs(db, model, dft, Selection(structures=[c.structure for c in every[:3]]))
    assert few.structures.astype(str).tolist() == sorted(c.structure for c in every[:3:2])
    assert few.missing == [every[1].structure]


def test_two_models_are_compared_on_the_cells_of_a_dataset_of_dft(db, dft):
    dataset = build_dataset(db, "d", {})
    one, other = a_model(db, "one"), a_model(db, "other")
    every = db.calculations.find(method=dft.id)
    answer(db, one, every, force=0.01)
    answer(db, other, every, force=0.03)
    found = compare(db, "one", "other", "d:test").validation
    assert found.n == dataset.counts["test"]
    assert found.metrics["overall"]["forces"]["mae"] == pytest.approx(20)
    whole = compare_matrix(db, [one], [dft, other], Selection(dataset=dataset, split="test"))
    assert {cell.n for cell in whole.cells.values()} == {dataset.counts["test"]}
    assert whole.cells[one.id, other.id].id == found.id  # the same question is one record


def test_what_a_matrix_leaves_out_is_in_its_records(db, dft):
    one, other = a_model(db, "one"), a_model(db, "other")
    every = db.calculations.find(method=dft.id, sort="id")
    answer(db, one, every)
    answer(db, other, every[:40])
    cell = compare_matrix(db, [one, other], [dft], Selection()).cells[one.id, dft.id]
    alone = compare(db, "one", dft.id).validation
    assert (cell.n, alone.n) == (40, 68)
    assert "structures_root" in cell.on
    assert "structures_root" not in alone.on


def test_unseen_in_a_matrix_is_unseen_by_all(db, dft):
    every = db.calculations.find(method=dft.id)
    models = []
    for name, seed in (("one", 1), ("other", 2)):
        dataset = build_dataset(db, name, {}, seed=seed)
        models.append(a_model(db, f"m-{name}", dataset=dataset.id))
        answer(db, models[-1], every)
    alone = [compare_labels(db, m, dft, Selection(only=Only.UNSEEN)) for m in models]
    cells = compare_matrix(db, models, [dft], Selection(only=Only.UNSEEN)).cells
    (n,) = {cell.n for cell in cells.values()}
    assert 0 < n < min(found.n for found in alone)


def test_what_was_dropped_as_a_near_copy_of_a_training_cell_is_not_new(db, dft):
    parent = db.structures.find(kind="pristine-2x2", limit=1)[0]
    label = db.calculations.one(structure=parent.id, method=dft.id)
    atoms = parent.to_atoms()
    atoms.rattle(1e-5, seed=1)
    near = type(parent).from_atoms(atoms, kind="a stranger")  # of no family that is known
    db.structures.add([near])
    answers = {"energy": label.energy, "forces": label.forces}
    given = {name: getattr(label, name) for name in GIVEN}
    db.calculations.add([Calculation.of(near, dft, stress=label.stress, **answers, **given)])
    dataset = build_dataset(db, "d", {})
    dropped = db.members.find(dataset=dataset.id, split="dropped", step="near-duplicates")
    assert len(dropped) == 1
    model = a_model(db, "m", dataset=dataset.id)
    answer(db, model, db.calculations.find(method=dft.id))
    pair = {"structure": [parent.id, near.id]}
    found = compare(db, "m", dft.id, pair).validation.leakage
    kept = db.members.one(dataset=dataset.id, structure=[parent.id, near.id]).split
    new = 2 if kept == "test" else 0
    assert (found["n_new"], found["n_in_training"]) == (new, 1 - new // 2)


def test_dft_that_did_not_converge_is_compared_only_where_it_is_asked_for(db, dft):
    first = db.calculations.find(method=dft.id, limit=1)[0]
    atoms = db.structures.get(first.structure).to_atoms()
    atoms.rattle(0.1)
    structure = type(db.structures.get(first.structure)).from_atoms(atoms)
    db.structures.add([structure])
    lost = Calculation.of(structure, dft, energy=0.0, forces=first.forces, converged=False)
    db.calculations.add([lost])
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id))
    assert compare(db, "m", dft.id).validation.n == 68
    assert compare(db, "m", dft.id, {"converged": False}).validation.n == 1
    assert compare(db, "m", dft.id, {"id": [lost.id]}).validation.n == 1


def test_a_question_that_finds_nothing_says_which_side_has_nothing(db, dft):
    answer(db, a_model(db, "m"), db.calculations.find(method=dft.id))
    with pytest.raises(NotFoundError, match="has labelled nothing of what is asked for"):
        compare(db, "m", dft.id, {"kind": "nosuch"})
