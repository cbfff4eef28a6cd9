"""Pairs read from blocks are those of the records, whatever happened to the blocks."""

import bson
import numpy as np
import pytest
from ase import Atoms

from forcebase.database import label_blocks, raw_rows
from forcebase.database.bson_layout import Layout, documents, split_documents
from forcebase.database.label_blocks import labels_of
from forcebase.database.label_columns import LabelColumns, read_labels
from forcebase.database.label_pairs import iterate_pairs
from forcebase.errors import DatabaseError, NotFoundError
from forcebase.records import Calculation, DFTMethod, Structure


def method(version: str) -> DFTMethod:
    return DFTMethod(
        code="made",
        code_version=version,
        functional="PBE",
        basis={"cutoff_eV": 350},
        pseudopotentials={"type": "none"},
        k_points={"rule": "gamma"},
        smearing={"type": "none"},
        spin="none",
        dispersion="none",
        spin_orbit=False,
    ).sealed()


MODEL, REFERENCE = method("1"), method("2")


def fill(db, n: int = 12) -> list[Structure]:
    """n structures of three sizes, labelled by both methods, some without stress."""
    rng = np.random.default_rng(1)
    made = []
    for i in range(n):
        numbers = [[1], [8, 1, 1], [74, 34, 34, 1, 1]][i % 3]
        positions = rng.uniform(0, 4, size=(len(numbers), 3))
        made.append(Structure.from_atoms(Atoms(numbers, positions, cell=np.eye(3) * 5, pbc=True)))
    db.structures.add(made)
    db.methods.add([MODEL, REFERENCE])
    db.calculations.add([label(s, m, rng.normal(), rng) for s in made for m in (MODEL, REFERENCE)])
    return made


def label(structure: Structure, by: DFTMethod, energy: float, rng) -> Calculation:
    stress = rng.normal(size=6) if structure.n_atoms != 3 else None
    forces = rng.normal(size=(structure.n_atoms, 3))
    return Calculation.of(structure, by, energy=energy, forces=forces, stress=stress)


def expected(db) -> dict[str, tuple]:
    """Structure -> both energies, forces and numbers, through the record classes."""
    found: dict[str, tuple] = {}
    for structure in db.structures.find():
        both = [
            min(db.calculations.find(structure=structure.id, method=m.id), key=lambda c: c.id)
            for m in (MODEL, REFERENCE)
        ]
        found[structure.id] = (structure.numbers, *both)
    return found


def check_pairs(db) -> None:
    wanted, seen = expected(db), []
    for pairs in iterate_pairs(db, MODEL.id, REFERENCE.id):
        np.testing.assert_array_equal(pairs.model.structures, pairs.reference.structures)
        assert not len(pairs.missing)
        ends = np.cumsum(pairs.reference.n_atoms)
        for i, structure in enumerate(pairs.reference.structures.astype(str)):
            numbers, *both = wanted[structure]
            seen.append(structure)
            rows = slice(ends[i] - len(numbers), ends[i])
            for side, record in zip((pairs.model, pairs.reference), both, strict=True):
                assert side.ids[i].decode() == record.id
                assert side.energies[i] == record.energy
                np.testing.assert_array_equal(side.numbers[rows], numbers)
                np.testing.assert_array_equal(side.forces[rows], record.forces)
                stress = np.full(6, np.nan) if record.stress is None else record.stress
                np.testing.assert_array_equal(side.stresses[i], stress)
    assert seen == sorted(wanted)


def blocks(db) -> list[dict]:
    return list(db.raw["label_blocks"].find().sort("_id", 1))


@pytest.fixture(params=[label_blocks.BLOCK_BYTES, 100])
def block_bytes(request, monkeypatch):
    """Blocks of the usual size, so that all is in one, and so small that there are many."""
    monkeypatch.setattr(label_blocks, "BLOCK_BYTES", request.param)
    return request.param


def test_pairs_are_those_of_the_records(db, block_bytes):
    fill(db)
    check_pairs(db)  # from the records
    made = blocks(db)
    assert len(made) == 2 if block_bytes > 1000 else len(made) > 20
    check_pairs(db)  # from the blocks
    assert blocks(db) == made


def test_a_sound_block_is_what_is_read(db):
    fill(db)
    check_pairs(db)
    before = labels_of(db, MODEL.id, "")
    db.structures.raw.delete_many({})  # which reading the records would miss
    for name, column in vars(labels_of(db, MODEL.id, "")).items():
        np.testing.assert_array_equal(column, getattr(before, name))
    with pytest.raises(NotFoundError, match="12 of 12 structures"):
        read_labels(db, MODEL.id, "")


def test_a_new_record_is_seen(db, block_bytes):
    structures = fill(db)
    check_pairs(db)
    rng = np.random.default_rng(5)
    for i in range(6):  # replicates, of which the first by id counts
        db.calculations.add([label(structures[i], MODEL, float(i), rng)])
        check_pairs(db)


def test_one_deleted_and_one_added_are_seen(db):
    structures = fill(db)
    check_pairs(db)
    gone = db.calculations.one(method=MODEL.id, structure=structures[0].id)
    db.calculations.raw.delete_one({"_id": gone.id})
    db.calculations.add([label(structures[0], MODEL, 3.0, np.random.default_rng(7))])
    check_pairs(db)


@pytest.mark.parametrize("change", ["energies", "forces", "numbers", "structures", "n_atoms"])
def test_a_block_that_was_changed_is_made_again(db, change):
    fill(db)
    check_pairs(db)
    made = blocks(db)
    data = bytearray(made[0][change]["data"])
    data[5] ^= 1
    edit = {"$set": {f"{change}.data": bytes(data)}}
    db.raw["label_blocks"].update_one({"_id": made[0]["_id"]}, edit)
    check_pairs(db)
    assert blocks(db) == made


def test_a_block_with_a_field_missing_is_made_again(db):
    fill(db)
    check_pairs(db)
    made = blocks(db)
    db.raw.command("collMod", "label_blocks", validator={})
    db.raw["label_blocks"].update_many({}, {"$unset": {"forces": ""}})
    check_pairs(db)
    assert blocks(db) == made


def test_blocks_of_another_size_are_dropped(db, monkeypatch):
    fill(db)
    check_pairs(db)
    monkeypatch.setattr(label_blocks, "BLOCK_BYTES", 1000)
    check_pairs(db)
    assert {block["digits"] for block in blocks(db)} == {1}


def test_sides_with_blocks_of_different_size_are_joined(db, monkeypatch):
    structures = fill(db)
    some = [s.id for s in structures[:3]]
    db.calculations.raw.delete_many({"method": MODEL.id, "structure": {"$in": some}})
    monkeypatch.setattr(label_blocks, "BLOCK_BYTES", 2200)
    parts = list(iterate_pairs(db, MODEL.id, REFERENCE.id))
    assert {block["digits"] for block in blocks(db)} == {0, 1}
    missing = [name.decode() for part in parts for name in part.missing]
    assert sorted(missing) == sorted(some)
    assert sum(map(len, parts)) == 9
    whole = LabelColumns.joined([part.reference for part in parts])
    assert sorted(whole.structures.astype(str)) == sorted(s.id for s in structures[3:])


def test_too_large_a_block_is_not_stored(db, monkeypatch):
    fill(db)
    monkeypatch.setattr(label_blocks, "LARGEST_BLOCK", 100)
    check_pairs(db)
    assert not blocks(db)


def test_methods_without_labels_have_no_pairs(db):
    assert not list(iterate_pairs(db, MODEL.id, REFERENCE.id))


def test_a_structure_of_other_atoms_is_named(db):
    structures = fill(db)
    large = next(s for s in structures if s.n_atoms == 5)
    small = next(s for s in structures if s.n_atoms == 3)
    numbers = db.structures.raw.find_one({"_id": large.id})["numbers"]
    db.structures.raw.update_one({"_id": small.id}, {"$set": {"numbers": numbers}})
    with pytest.raises(DatabaseError, match="atoms of its calculation"):
        read_labels(db, MODEL.id, "")


def test_rows_come_whole_whatever_the_batches(db, monkeypatch):
    fill(db)
    monkeypatch.setattr(raw_rows, "BATCH", 2)
    check_pairs(db)


def test_documents_of_one_shape_are_rows():
    made = [{"a": 1.5, "b": "x" * 4, "c": {"d": [b"12345678", i]}} for i in (7, 7, 8)]
    batch = b"".join(map(bson.encode, made))
    (rows,) = split_documents(batch)
    layout = Layout.of(made[0], {"a": "<f8", "b": "S", "c.d.0": "<i8", "absent": "S"})
    assert layout.fits(rows).tolist() == [True, True, False]
    assert layout.rows.names == ("a", "b", "c.d.0")
    filled = layout.blank(2)
    filled["a"], filled["b"], filled["c.d.0"] = [1, 2], [b"abcd", b"efgh"], [[1], [2]]
    second = bson.decode(list(documents(filled))[1].raw)
    assert second == {"a": 2.0, "b": "efgh", "c": {"d": [(2).to_bytes(8, "little"), 7]}}
    with pytest.raises(ValueError, match="not a column"):
        Layout.of({"a": 1}, {"a": "<f8"})


def test_documents_of_several_sizes_are_told_apart():
    made = [{"a": "x" * n} for n in (1, 3, 1, 2, 3)]
    groups = list(split_documents(b"".join(map(bson.encode, made))))
    found = [[len(bson.decode(row.tobytes())["a"]) for row in rows] for rows in groups]
    assert found == [[1, 1], [2], [3, 3]]
