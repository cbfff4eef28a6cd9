"""Records written as columns are byte for byte those that their classes would have stored."""

import bson
import numpy as np
import pytest
from ase import Atoms
from bson.codec_options import CodecOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from forcebase.database.label_table import LabelTable, StructureFacts
from forcebase.database.structure_table import StructureTable
from forcebase.errors import InputError, NotFoundError
from forcebase.frames import Frames
from forcebase.ingest.batch import Batch
from forcebase.records import Activity, Calculation, DFTMethod, ModelMethod, Structure
from forcebase.records.base import document_checksum
from forcebase.records.calculation import FARTHEST

METHOD = DFTMethod(
    code="made",
    code_version="1",
    functional="PBE",
    basis={"cutoff_eV": 350},
    pseudopotentials={"type": "none"},
    k_points={"rule": "gamma"},
    smearing={"type": "none"},
    spin="none",
    dispersion="none",
    spin_orbit=False,
).sealed()
MODEL = ModelMethod(kind="MACE", weights="b" * 64, dtype="float64", elements=["Se", "W"]).sealed()
ACTIVITY = "a" * 64


def cells(n: int, seed: int = 0) -> list[Atoms]:
    """Cells of 3 and 12 atoms in turn, layers and crystals, all different."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        size, height = (3, 20.0) if i % 3 else (12, 6.0)
        lattice = np.diag([6.0, 6.0, height]) + rng.normal(scale=0.1, size=(3, 3))
        positions = rng.uniform(-1, 7, size=(size, 3)) * [1, 1, 0.6]
        numbers = [74] * (size // 3) + [34] * (size - size // 3)
        found.append(Atoms(numbers, positions, cell=lattice, pbc=[True, True, i % 2 == 0]))
    return found


def labelled(atoms: list[Atoms], seed: int = 0, **names: list[str]) -> Frames:
    rng = np.random.default_rng(seed)
    stresses = rng.normal(size=(len(atoms), 6))
    stresses[::4] = np.nan
    return Frames.from_atoms(
        atoms,
        ids=[Structure.geometry_id(a) for a in atoms],
        energies=list(-rng.uniform(5, 50, len(atoms))),
        forces=[rng.normal(size=(len(a), 3)) for a in atoms],
        stresses=list(stresses),
        **names,
    )


def facts_of(structures: list[Structure]) -> dict[str, StructureFacts]:
    return {
        s.id: StructureFacts(
            s.formula, s.chemical_formula_reduced, tuple(s.elements), s.kind, s.n_atoms
        )
        for s in structures
    }


def stored_alone(record, activity: str, created_at) -> bytes:
    """What the record's class stores, at this time."""
    record.provenance.activity = activity
    document = record.to_mongo().to_dict()
    document["created_at"] = created_at
    document["checksum"] = document_checksum(document)
    return bson.encode(document)


def check_same(table, records: list) -> None:
    by_id = {record.id: record for record in records}
    rows = [document for some in table.documents(ACTIVITY) for document in some]
    assert sorted(row["_id"] for row in rows) == sorted(by_id)
    for row in rows:
        assert row.raw == stored_alone(by_id[row["_id"]], ACTIVITY, row["created_at"])


def test_structures_as_columns_are_those_of_their_class():
    atoms = cells(13)
    kinds = ["", "rattled"] * 6 + [""]
    families = ["", "", "f" * 64, "short"] * 3 + [""]
    frames = labelled(atoms, kinds=kinds, families=families)
    alone = [
        Structure.from_atoms(a, kind=k, family=f or None)
        for a, k, f in zip(atoms, kinds, families, strict=True)
    ]
    table = StructureTable(frames)
    assert table.ids.tolist() == [s.id for s in alone]
    check_same(table, alone)


def calculations(
    frames: Frames, structures: list[Structure], wall_times=None, method=METHOD
) -> list[Calculation]:
    bounds = frames.offsets
    return [
        Calculation.of(
            s,
            method,
            energy=frames.energies[i],
            forces=frames.forces[bounds[i] : bounds[i + 1]],
            stress=None if np.isnan(frames.stresses[i]).all() else frames.stresses[i],
            wall_time=None if wall_times is None else float(wall_times[i]),
        )
        for i, s in enumerate(structures)
    ]


@pytest.mark.parametrize("method", [METHOD, MODEL], ids=["dft", "model"])
def test_calculations_as_columns_are_those_of_their_class(method):
    atoms = cells(13)
    structures = [Structure.from_atoms(a, kind="x" if i % 2 else "") for i, a in enumerate(atoms)]
    frames = labelled(atoms)
    frames.forces[5] = [-0.0, 0.0, 1e-300]
    times = np.linspace(0.1, 2, 13)
    for wall_times in (None, times):
        table = LabelTable(method, frames, facts_of(structures), wall_times)
        check_same(table, calculations(frames, structures, wall_times, method))
        some = np.array([11, 2])
        times_of_some = None if wall_times is None else wall_times[some]
        few = calculations(frames.take(some), [structures[i] for i in some], times_of_some, method)
        check_same(table.take(some), few)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=4, max_size=4))
def test_any_number_has_the_digest_of_its_class(values):
    atoms = Atoms("H", cell=np.eye(3), pbc=True)
    structure = Structure.from_atoms(atoms)
    energy, *force = values
    if not np.isfinite(np.linalg.norm(force)):
        return
    frames = Frames.from_atoms(
        [atoms], ids=[structure.id], energies=[energy], forces=[np.array([force])]
    )
    table = LabelTable(METHOD, frames, facts_of([structure]))
    if max(map(abs, values)) > FARTHEST:
        for write in (lambda: calculations(frames, [structure]), table.check):
            with pytest.raises(InputError, match="beyond 1e\\+07"):
                write()
        return
    check_same(table, calculations(frames, [structure]))


@pytest.mark.parametrize("column", ["energies", "forces", "stresses"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_label_that_is_no_number_refuses_all(column, value):
    atoms = cells(6)
    frames = labelled(atoms)
    getattr(frames, column)[-1].flat[0] = value if column != "energies" else 0
    if column == "energies":
        frames.energies[-1] = value
    facts = facts_of([Structure.from_atoms(a) for a in atoms])
    with pytest.raises(InputError, match="1 of 6 calculations"):
        next(LabelTable(METHOD, frames, facts).documents(None))


def test_labels_of_other_sizes_are_refused():
    atoms = cells(3)
    frames = labelled(atoms)
    facts = facts_of([Structure.from_atoms(a) for a in atoms])
    first = str(frames.structures[0])
    facts[first] = facts[first]._replace(n_atoms=11)
    with pytest.raises(InputError, match="as many atoms"):
        next(LabelTable(METHOD, frames, facts).documents(None))


def test_labels_of_structures_that_are_not_there_are_refused(db):
    with pytest.raises(NotFoundError, match="2 of 2"):
        LabelTable.of(db, METHOD, labelled(cells(2)))


def test_tables_are_written_like_records_and_twice_changes_nothing(db):
    atoms = cells(8)
    frames = labelled([*atoms, atoms[0]])  # a structure labelled twice alike, but for the numbers
    for expected in ({"methods": 1, "structures": 8}, {}):
        act = Activity(id=ACTIVITY, kind="import", name="frames")
        batch = Batch(methods=[METHOD], structure_tables=[StructureTable(frames)])
        assert batch.write(db, act) == expected
    labels = Batch(label_tables=[LabelTable.of(db, METHOD, frames)])
    act = Activity(id="b" * 64, kind="import", name="labels")
    assert labels.write(db, act) == {"calculations": 9}
    assert labels.write(db, Activity(id="b" * 64, kind="import", name="labels")) == {}
    assert act.n_records == 9
    assert db.activities.get("b" * 64).n_records == 9
    for collection in (db.structures, db.calculations):
        for record in collection.find():
            assert record.digest() == record.id
            raw = collection.raw.with_options(CodecOptions()).find_one({"_id": record.id})
            assert document_checksum(raw) == raw["checksum"]
    assert db.calculations.find()[0].provenance.activity == "b" * 64
