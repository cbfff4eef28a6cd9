"""Any method against any other: matched by structure, kept once, honest about what was seen."""

import numpy as np
import pytest
from small_phonons import from_phonopy_yaml

from forcebase.actions.datasets import build_dataset
from forcebase.blob import Blob
from forcebase.comparison import compare, compare_labels, compare_phonons, join
from forcebase.database.crystals import crystal_of
from forcebase.database.reading import read_frames
from forcebase.datasets import dataset_frames
from forcebase.errors import InputError, NotFoundError
from forcebase.ingest.outputs import phonon_record
from forcebase.records import Calculation, ModelMethod

ENERGY_OFF = 0.012
FORCE_OFF = 0.05


@pytest.fixture
def dft(db, imported):
    """The database with the labelled cells, and their method."""
    imported(db, "wse2_gpaw_pbe.extxyz")
    return db.methods.one()


def a_model(db, name, dataset=None):
    """A model's record; its labels are given by the test, so its weights are never run."""
    model = ModelMethod(
        kind="MACE",
        weights=Blob(name.encode()).sha256,
        dtype="float64",
        elements=["Se", "W"],
        dataset=dataset,
    ).sealed()
    db.methods.add([model])
    db.names.name(name, "methods", model.id)
    return model


def predict(db, model, calculations, energy=0.0, force=0.0):
    """Label as the reference does, `energy` eV/atom and `force` eV/angstrom off."""
    made = []
    for found in calculations:
        structure = db.structures.get(found.structure)
        made.append(
            Calculation.of(
                structure,
                model,
                energy=found.energy + energy * found.n_atoms,
                forces=found.forces + force,
                stress=found.stress,
            )
        )
    db.calculations.add(made)


def counts(db):
    return {name: db.raw[name].count_documents({}) for name in db.raw.list_collection_names()}


def test_the_same_labels_have_no_error(db, dft):
    model = a_model(db, "copy")
    predict(db, model, db.calculations.find(method=dft.id))
    found = compare(db, "copy", dft.id).validation
    overall = found.metrics["overall"]
    assert found.n == overall["n_structures"] == 68
    for name in ("energy", "forces", "stress"):
        assert overall[name]["mae"] == overall[name]["max"] == 0.0, name
    assert found.on["n_missing"] == 0


def test_pairs_and_floors_are_looked_up_once(db, dft, counted):
    model = a_model(db, "copy")
    predict(db, model, db.calculations.find(method=dft.id))
    joined = counted("forcebase.comparison.joining", "join")
    floors = counted("forcebase.comparison.noise", "noise_floors")
    found = compare(db, "copy", dft.id)
    assert (joined.calls, floors.calls) == (1, 1)
    assert found.metrics == found.validation.metrics
    assert list(found.floors) == []
    assert "not recorded" in found.energies


def test_rows_are_matched_by_structure_and_errors_are_what_was_put_in(db, dft):
    """Predictions get ids in another order than the references have."""
    model = a_model(db, "off")
    predict(db, model, db.calculations.find(method=dft.id, sort="-id"), ENERGY_OFF, FORCE_OFF)
    pairs = join(db, model, dft, {})
    assert pairs.model.structures.tolist() == pairs.reference.structures.tolist()
    ids = [str(c) for c in read_frames(db, {"method": model.id}).structures]
    assert ids != pairs.reference.structures.tolist()
    overall = compare_labels(db, model, dft).metrics["overall"]
    assert overall["energy"]["mae"] == pytest.approx(1000 * ENERGY_OFF)
    assert overall["energy_aligned"]["mae"] == pytest.approx(0, abs=1e-6)
    for name in ("mae", "rmse", "max"):
        assert overall["forces"][name] == pytest.approx(1000 * FORCE_OFF)
    assert overall["stress"]["mae"] == 0.0


def test_a_model_against_a_model_and_dft_against_itself(db, dft):
    one, other = a_model(db, "one"), a_model(db, "other")
    some = db.calculations.find(method=dft.id, limit=5)
    predict(db, one, some)
    predict(db, other, some, ENERGY_OFF)
    found = compare(db, "one", "other").validation
    assert found.metrics["overall"]["energy"]["mae"] == pytest.approx(1000 * ENERGY_OFF)
    assert compare(db, dft.id, dft.id).metrics["overall"]["forces"]["max"] == 0.0


def test_cells_that_the_model_was_not_asked_for_are_counted(db, dft):
    model = a_model(db, "few")
    predict(db, model, db.calculations.find(method=dft.id, kind="pristine-1x1", limit=4))
    found = compare(db, "few", dft.id).validation
    assert (found.n, found.on["n_missing"]) == (4, 64)
    found = compare(db, "few", dft.id, {"kind": "pristine-1x1"}).validation
    assert found.on["n_missing"] == db.calculations.count(kind="pristine-1x1", method=dft.id) - 4


def test_forces_by_distance_from_the_defect(db, dft, imported):
    """A host and its edges make another record, which names the host; none changes nothing."""
    imported(db, "wse2_gpaw_unitcell.extxyz")
    model = a_model(db, "off")
    predict(db, model, db.calculations.find(method=dft.id), ENERGY_OFF, FORCE_OFF)
    plain = compare(db, "off", dft.id).validation
    found = compare(db, "off", dft.id, host="wse2-unit-cell").validation
    finer = compare(db, "off", dft.id, host="wse2-unit-cell", edges=(2.8, 4, 6)).validation
    assert "forces_by_shell" not in plain.metrics
    assert "host" not in plain.on
    assert len({plain.id, found.id, finer.id}) == 3
    assert found.metrics["overall"] == plain.metrics["overall"]
    host = db.require_structure("wse2-unit-cell")
    assert found.on["host"] == host.id
    assert (found.on["edges"], finer.on["edges"]) == ([3.0, 6.0], [2.8, 4.0, 6.0])
    assert ("host", host.id) in {(e.role, e.record) for e in found.provenance.edges}
    assert compare(db, "off", dft.id, host=host.id, edges=[3, 6]).validation.id == found.id
    rows = finer.metrics["forces_by_shell"]
    assert [row["shell"] for row in rows] == ["≤ 2.8 Å", "2.8–4 Å", "4–6 Å", "> 6 Å", "pristine"]
    assert [row["forces"]["mae"] for row in rows] == pytest.approx([1000 * FORCE_OFF] * 5)
    assert (rows[0]["n_structures"], rows[-1]["n_structures"]) == (18, 51)
    assert sum(row["n_atoms"] for row in rows) == finer.metrics["overall"]["n_atoms"]


def test_a_host_of_another_crystal_and_edges_without_one_are_refused(db, dft, imported):
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    cell = db.calculations.find(method=dft.id, kind="Se-vacancy-2x2")[0].structure
    with pytest.raises(InputError, match=r"Structure \w{10}: The cell of \w+ repeats no"):
        compare(db, dft.id, dft.id, host=cell)
    with pytest.raises(InputError, match="it is not a structure"):
        compare(db, dft.id, dft.id, host=dft.id)
    with pytest.raises(InputError, match="where the defects are") as caught:
        compare(db, dft.id, dft.id, edges=(3, 6))
    assert "host" in caught.value.hint
    with pytest.raises(InputError, match="not edges of shells"):
        compare(db, dft.id, dft.id, host=cell, edges=(6, 3))
    with pytest.raises(InputError, match="Phonons are compared whole"):
        compare(db, "wse2-dft-phonon", "wse2-dft-phonon", host=cell)
    assert db.validations.count() == 0


def test_nothing_in_common_says_what_to_do(db, dft):
    a_model(db, "idle")
    with pytest.raises(NotFoundError, match="no structure in common") as caught:
        compare(db, "idle", dft.id)
    assert "forcebase predict" in caught.value.hint


def test_twice_is_one_record(db, dft):
    model = a_model(db, "off")
    predict(db, model, db.calculations.find(method=dft.id), ENERGY_OFF)
    first = compare(db, "off", dft.id).validation
    before = counts(db)
    assert compare(db, "off", dft.id).validation.id == first.id
    assert counts(db) == before
    assert {e.record for e in first.provenance.edges} == {model.id, dft.id}
    assert db.activities.get(first.provenance.activity).kind == "comparison"


def test_leakage_is_counted_by_structure_and_by_family(db, dft):
    dataset = build_dataset(db, "d", {})
    model = a_model(db, "trained", dataset.id)
    everything = db.calculations.find(method=dft.id)
    predict(db, model, everything, ENERGY_OFF)
    parts = {s: len(dataset_frames(db, dataset, s)) for s in ("train", "valid", "test")}
    test = compare(db, "trained", dft.id, "d@1:test").validation
    none = {"n_in_training": 0, "n_same_family": 0, "n_unknown": 0}
    assert test.leakage == {**none, "n_new": parts["test"]}
    train = compare(db, "trained", dft.id, "d:train").validation
    assert train.leakage["n_in_training"] == train.n == parts["train"]
    valid = compare(db, "trained", dft.id, "d:valid").validation
    assert valid.leakage["n_in_training"] == parts["valid"]
    whole = compare(db, "trained", dft.id).validation
    assert whole.leakage["n_in_training"] == parts["train"] + parts["valid"]
    assert sum(whole.leakage.values()) == whole.n == 68
    assert len({v.id for v in (test, train, valid, whole)}) == 4


def test_a_near_copy_of_a_training_cell_is_no_new_cell(db, dft):
    dataset = build_dataset(db, "d", {})
    model = a_model(db, "trained", dataset.id)
    seen = db.members.one(dataset=dataset.id, split="train")
    parent = db.structures.get(seen.structure)
    atoms = parent.to_atoms()
    atoms.rattle(0.01, seed=1)
    near = type(parent).from_atoms(atoms, family=parent.family, kind="near copy")
    db.structures.add([near])
    label = Calculation.of(near, dft, energy=-1.0, forces=np.zeros((near.n_atoms, 3)))
    db.calculations.add([label])
    predict(db, model, [label])
    found = compare(db, "trained", dft.id, {"kind": "near copy"}).validation
    assert (found.leakage["n_same_family"], found.leakage["n_new"]) == (1, 0)
    assert found.metrics["overall"]["stress"] is None


def test_a_split_that_there_is_not(db, dft):
    build_dataset(db, "d", {})
    with pytest.raises(InputError, match="no split 'tset'"):
        compare(db, dft.id, dft.id, "d:tset")
    with pytest.raises(NotFoundError, match="No record in datasets"):
        compare(db, dft.id, dft.id, "e:test")


@pytest.fixture
def phonon(db, imported):
    imported(db, "phonopy_wse2_gpaw_3x3.yaml")
    return db.phonons.one()


def other_phonon(db, phonon, **changes):
    """The same crystal with something else, stored as a phonon of a model."""
    crystal = crystal_of(db, phonon)
    arrays = Blob.from_arrays(
        force_constants=changes.pop("force_constants", crystal.force_constants)
    )
    db.blobs.put(arrays.data)
    made = phonon_record(
        db.structures.get(phonon.structure),
        a_model(db, f"m{len(changes)}{arrays.sha256[:4]}"),
        changes.pop("supercell_matrix", crystal.supercell_matrix),
        crystal.primitive_matrix,
        changes.pop("masses", crystal.masses),
        arrays,
        {"displacement_A": 0.02},
    )
    db.phonons.add([made])
    return made


def test_a_phonon_against_itself_and_its_copy_is_zero(db, phonon):
    for one in (phonon, other_phonon(db, phonon)):
        found = compare(db, one.id, "wse2-dft-phonon").validation
        for name in ("band_mae_THz", "band_max_THz", "dos_misplaced", "dos_wasserstein_THz"):
            assert found.metrics[name] == 0.0
        assert found.kind == "phonons"
        assert compare_phonons(db, one, phonon).id == found.id


def test_scaled_force_constants_scale_the_bands(db, phonon):
    """Frequencies go with the root of the force constants."""
    crystal = crystal_of(db, phonon)
    stiff = other_phonon(db, phonon, force_constants=1.21 * crystal.force_constants)
    found = compare_phonons(db, stiff, phonon)
    soft = compare_phonons(db, phonon, stiff)
    assert found.metrics["band_bias_THz"] == pytest.approx(found.metrics["band_mae_THz"], rel=1e-4)
    assert soft.metrics["band_bias_THz"] == pytest.approx(-found.metrics["band_bias_THz"])
    assert found.metrics["band_max_THz"] == pytest.approx(0.1 * 300.1 / 33.35641, rel=0.01)


def test_unlike_supercells_and_masses_are_refused(db, phonon):
    crystal = crystal_of(db, phonon)
    for changes, word in (
        ({"masses": 2 * crystal.masses}, "masses"),
        ({"supercell_matrix": [[1, 0, 0], [0, 9, 0], [0, 0, 1]]}, "supercell"),
    ):
        other = other_phonon(db, phonon, **changes)
        with pytest.raises(InputError, match=word):
            compare_phonons(db, other, phonon)
    assert db.validations.count() == 0


def test_a_method_and_a_phonon_are_refused(db, phonon):
    method = db.methods.one()
    with pytest.raises(InputError, match="phonon with a phonon"):
        compare(db, method.id, phonon.id)
    with pytest.raises(InputError, match="phonon with a phonon"):
        compare(db, phonon.structure, phonon.id)
    with pytest.raises(InputError, match="Phonons are compared whole"):
        compare(db, phonon.id, phonon.id, "d:test")


def test_changed_force_constants_are_noticed(db, phonon, data_folder):
    """What is compared is what was stored, or nothing."""
    from forcebase.errors import IntegrityError

    crystal = from_phonopy_yaml(data_folder / "phonopy_wse2_gpaw_3x3.yaml")
    np.testing.assert_array_equal(crystal_of(db, phonon).force_constants, crystal.force_constants)
    chunk = db.raw["blobs.chunks"].find_one({"files_id": phonon.force_constants})
    spoiled = bytearray(chunk["data"])
    spoiled[-200] ^= 1
    db.raw["blobs.chunks"].update_one({"_id": chunk["_id"]}, {"$set": {"data": bytes(spoiled)}})
    with pytest.raises(IntegrityError):
        compare_phonons(db, phonon, phonon)
