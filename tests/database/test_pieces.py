"""Queries for more ids than MongoDB takes at once."""

import numpy as np
import pytest
from ase import Atoms

from forcebase.database import pieces
from forcebase.database.pieces import in_pieces
from forcebase.database.reading import read_frames
from forcebase.records import Calculation, DFTMethod, Structure


@pytest.fixture(autouse=True)
def three_at_once(monkeypatch):
    monkeypatch.setattr(pieces, "IDS_AT_ONCE", 3)


def test_a_short_query_stays_whole():
    query = {"_id": {"$in": [3, 1, 2]}, "kind": "x"}
    assert list(in_pieces(query)) == [query]
    assert list(in_pieces({})) == [{}]


def test_a_long_list_is_cut_and_its_values_taken_once():
    query = {"kind": "x", "_id": {"$in": [5, 4, 3, 2, 1, 1, 5], "$ne": 2}}
    found = [piece["_id"] for piece in in_pieces(query)]
    assert found == [{"$in": [1, 2, 3], "$ne": 2}, {"$in": [4, 5], "$ne": 2}]


def test_lists_inside_and_are_cut_too():
    query = {"$and": [{"a": 1}, {"_id": {"$in": [1, 2, 3, 4]}}, {"b": {"$in": [7, 8, 9, 6]}}]}
    found = list(in_pieces(query))
    assert len(found) == 4
    pairs = {
        (i, b) for p in found for i in p["$and"][1]["_id"]["$in"] for b in p["$and"][2]["b"]["$in"]
    }
    assert len(pairs) == 16
    assert all(piece["$and"][0] == {"a": 1} for piece in found)


@pytest.fixture
def calculations(db):
    method = DFTMethod(
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
    cells = [Atoms("H", cell=np.eye(3) * (3 + i), pbc=True) for i in range(8)]
    structures = [Structure.from_atoms(a) for a in cells]
    made = [
        Calculation.of(s, method, energy=float(i % 4), forces=[[0, 0, i]])
        for i, s in enumerate(structures)
    ]
    db.structures.add(structures)
    db.methods.add([method])
    db.calculations.add(made)
    return made


def test_records_are_found_sorted_and_counted_as_by_one_query(db, calculations):
    ids = [c.id for c in calculations[:7]]
    query = {"_id": {"$in": ids}}
    assert sorted(c.id for c in db.calculations.find(query)) == sorted(ids)
    assert db.calculations.count(query) == 7
    assert [c.id for c in db.calculations.find(query, sort="-id")] == sorted(ids, reverse=True)
    energies = [c.energy for c in db.calculations.find(id=ids, sort="-energy", limit=5)]
    assert energies == [3, 2, 2, 1, 1]


def test_frames_are_read_as_by_one_query(db, calculations):
    frames = read_frames(db, {"_id": {"$in": [c.id for c in calculations]}})
    assert frames.ids.tolist() == sorted(c.id for c in calculations)
