"""Record collections: written once, found by field, tag and id."""

from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from ase.build import bulk

from forcebase.database.database import Database
from forcebase.errors import DatabaseError, InputError, NotFoundError
from forcebase.records import Calculation, Dataset, DFTMethod, Structure

SETUP = {
    "code": "gpaw",
    "code_version": "26.7.0",
    "functional": "PBE",
    "basis": {"type": "plane waves", "cutoff_eV": 350.0},
    "pseudopotentials": {"type": "PAW"},
    "k_points": {"rule": "Gamma-centred", "spacing_per_A": 0.38},
    "smearing": {"type": "Fermi-Dirac", "width_eV": 0.01},
    "spin": "none",
    "dispersion": "none",
    "spin_orbit": False,
}


def a_structure(a=3.6, symbol="Cu", **more):
    return Structure.from_atoms(bulk(symbol, "fcc", a), **more)


def a_dataset(version=1, e0=-1.0):
    return Dataset(
        name="copper",
        version=version,
        method="a" * 64,
        members_root="b" * 64,
        counts={"train": 1},
        e0s={"Cu": e0},
        e0s_source="given",
    ).sealed()


def test_writing_twice_writes_once_and_keeps_the_first(db):
    first = a_structure(kind="pristine")
    assert db.structures.add([first, a_structure(4.0)]) == 2
    assert db.structures.add([a_structure(kind="renamed"), a_structure(5.0)]) == 1
    assert db.structures.count() == 3
    assert db.structures.get(first.id).kind == "pristine"
    assert db.structures.add([]) == 0


def test_the_same_record_twice_in_one_batch_is_one_record(db):
    assert db.structures.add([a_structure(), a_structure()]) == 1


def test_many_writers_of_the_same_records_end_with_one_each(db):
    records = [a_structure(a) for a in np.linspace(3, 4, 20)]
    with ThreadPool(4) as pool:
        written = pool.map(lambda _: db.structures.add(records), range(4))
    assert sum(written) == db.structures.count() == 20


def test_pieces_on_their_way_at_once_are_each_written_or_named(db):
    rows = [db.structures.checked(a_structure(a)) for a in np.linspace(3, 4, 12)]
    pieces = [rows[i : i + 3] for i in range(0, 12, 3)]
    assert db.structures.add_pieces([*pieces, pieces[0]]) == db.structures.count() == 12
    broken = {**db.structures.checked(a_structure(5.0)), "n_atoms": "one"}
    with pytest.raises(InputError, match="see n_atoms"):
        db.structures.add_pieces([[broken], pieces[1]])
    assert db.structures.count() == 12


def test_a_record_comes_back_bit_by_bit(db):
    written = a_structure(np.nextafter(3.6, 4))
    db.structures.add([written])
    read = db.structures.get(written.id)
    assert read.positions.tobytes() == written.positions.tobytes()
    assert read.cell.tobytes() == written.cell.tobytes()
    assert read.digest() == read.id
    assert read.created_at == written.created_at


def test_a_record_of_the_wrong_shape_is_refused_before_the_server_sees_it(db):
    record = a_structure()
    record.positions = np.full((1, 3), np.nan)
    with pytest.raises(InputError, match="NaN"):
        db.structures.add([record])
    assert db.structures.count() == 0


def test_a_taken_name_and_version_is_refused_with_words(db):
    db.datasets.add([a_dataset()])
    with pytest.raises(DatabaseError, match="refused to write to datasets"):
        db.datasets.add([a_dataset(e0=-2.0)])
    assert db.datasets.add([a_dataset(), a_dataset(version=2)]) == 1


@pytest.mark.parametrize("size", [17_000_000, 50_000_000])
def test_a_record_over_16_mb_is_refused_with_words(db, size):
    record = a_structure(recipe={"operation": "x" * size})
    with pytest.raises(DatabaseError, match="16 MB"):
        db.structures.add([record])


@pytest.mark.parametrize("seed", [np.int64(1), 2**70, 1j], ids=["numpy", "too big", "complex"])
def test_a_value_that_bson_does_not_know_is_refused_with_words(db, seed):
    with pytest.raises(InputError, match="cannot be stored"):
        db.structures.add([a_structure(recipe={"seed": seed})])


def test_find_by_field_list_elements_and_query(db):
    copper, gold = a_structure(kind="a"), a_structure(4.08, "Au", kind="b")
    alloy = bulk("CuAu", "rocksalt", 5.0)
    db.structures.add([copper, gold, Structure.from_atoms(alloy, kind="c")])
    ids = lambda **query: {r.id for r in db.structures.find(**query)}  # noqa: E731
    assert ids(kind="a") == {copper.id}
    assert ids(kind=["a", "b"]) == {copper.id, gold.id}
    assert ids(id=[gold.id]) == {gold.id}
    assert len(ids(elements=["Cu"])) == 2, "elements: all of these"
    assert len(ids(elements=["Cu", "Au"])) == 1
    assert len(ids(elements="Au")) == 2
    assert ids(query={"n_atoms": 2}, kind="a") == set()
    assert len(ids(limit=2)) == 2
    assert len(ids()) == 3


def test_sorting_up_and_down_and_by_id(db):
    db.structures.add([a_structure(a, kind=k) for a, k in ((3.0, "b"), (3.1, "c"), (3.2, "a"))])
    kinds = lambda sort: "".join(r.kind for r in db.structures.find(sort=sort))  # noqa: E731
    assert (kinds("kind"), kinds("-kind")) == ("abc", "cba")
    by_id = [record.id for record in db.structures.find(sort="id")]
    assert by_id == sorted(by_id)


def test_find_by_tag(db):
    wanted = a_structure()
    db.structures.add([wanted, a_structure(4.0)])
    db.names.tag("good", "structures", wanted.id)
    assert [r.id for r in db.structures.find(tag="good")] == [wanted.id]
    assert db.structures.count(tag="good") == 1
    assert not db.structures.find(tag="no such tag")
    with pytest.raises(InputError, match="carry no tags"):
        db.members.find(tag="good")


def test_get_one_and_missing(db):
    record = a_structure()
    db.structures.add([record])
    assert db.structures.one(kind="none") is None
    assert db.structures.one(formula="Cu").id == record.id
    assert db.structures.missing([record.id, "f" * 64]) == {"f" * 64}
    with pytest.raises(NotFoundError, match="structures has no record ffff"):
        db.structures.get("f" * 64)


def test_more_ids_than_one_query_holds_can_be_looked_up(db):
    record = a_structure()
    db.structures.add([record])
    many = {f"{number:064x}" for number in range(230_000)}
    assert db.structures.missing(many | {record.id}) == many


def test_results_are_a_sequence_a_table_and_atoms(db):
    structure = a_structure()
    method = DFTMethod(**SETUP).sealed()
    calculation = Calculation.of(structure, method, energy=-3.0, forces=np.zeros((1, 3)))
    db.structures.add([structure, a_structure(4.0)])
    db.methods.add([method])
    db.calculations.add([calculation])
    results = db.structures.find()
    assert len(results[:1]) == 1
    assert [atoms.get_chemical_formula() for atoms in results[:1].to_atoms()] == ["Cu"]
    table = db.calculations.find().to_dataframe()
    assert table.loc[0, "energy"] == -3.0
    assert {"forces", "provenance"}.isdisjoint(table.columns)
    assert db.calculations.find().to_atoms()[0].get_potential_energy() == -3.0
    assert db.structures.find(kind="none").to_dataframe().empty
    with pytest.raises(InputError, match="no atoms"):
        db.methods.find().to_atoms()


def test_methods_come_back_as_what_they_were(db):
    db.methods.add([DFTMethod(**SETUP).sealed()])
    assert type(db.methods.one()) is DFTMethod


def test_many_first_connections_at_once_make_one_database(settings, db):
    db.client.drop_database(settings.database)
    with ThreadPool(6) as pool:
        opened = pool.map(lambda _: Database(settings), range(6))
    assert opened[0].structures.add([a_structure()]) == 1
    indexes = opened[0].datasets.raw.index_information()
    assert any(index.get("unique") for name, index in indexes.items() if name != "_id_")
    for database in opened:
        database.close()
