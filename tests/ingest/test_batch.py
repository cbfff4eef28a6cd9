"""Batches: what belongs together is written in an order that leaves nothing dangling."""

import numpy as np
import pytest
from ase.build import mx2

from forcebase.blob import Blob
from forcebase.database.acts import done_among
from forcebase.errors import InputError
from forcebase.ingest.batch import Batch
from forcebase.records import Activity, Calculation, Dataset, DatasetMember, DFTMethod, Structure


def a_batch(seed=0):
    atoms = mx2("WSe2", vacuum=8)
    atoms.pbc = True
    atoms.rattle(0.05, seed=seed)
    structure = Structure.from_atoms(atoms)
    names = {name: {"type": "a"} for name in ("basis", "pseudopotentials", "k_points", "smearing")}
    method = DFTMethod(
        code="gpaw",
        code_version="1",
        functional="PBE",
        spin="none",
        dispersion="none",
        spin_orbit=False,
        **names,
    ).sealed()
    log = b"log of the run"
    calculation = Calculation.of(
        structure, method, energy=-1.0, forces=np.zeros((3, 3)), log=Blob(log).sha256
    )
    return Batch(
        blobs=[log],
        structures=[structure],
        methods=[method],
        calculations=[calculation],
        tags=[("t", "calculations", calculation.id)],
    )


def an_activity(name="a"):
    return Activity(id=name, kind="import", name=name, source={"sha256": "0" * 64})


def assert_failed(db, name):
    """It is told why, and is not taken for done."""
    run = db.activities.get(name).run
    assert (run.state, bool(run.reason)) == ("failed", True)
    assert done_among(db, [name]) == set()


def test_first_writer_is_the_provenance(db):
    assert a_batch().write(db, an_activity("first")) == {
        "structures": 1,
        "methods": 1,
        "calculations": 1,
    }
    assert a_batch().write(db, an_activity("second")) == {}
    assert db.calculations.one().provenance.activity == "first"
    assert {a.id: a.n_records for a in db.activities.find()} == {"first": 3, "second": 3}
    assert db.names.tagged("t") == [db.calculations.one().id]


def test_a_record_that_is_refused_leaves_the_activity_undone(db):
    batch = a_batch()
    batch.calculations[0].forces = np.zeros((3, 2))
    with pytest.raises(InputError, match="calculations"):
        batch.write(db, an_activity())
    assert db.calculations.count() == 0
    assert_failed(db, "a")


def test_a_writer_that_died_at_any_point_is_completed_by_the_next(db):
    """Whatever a killed writer left, the next try ends in the same records."""
    groups = ("structures", "methods", "calculations")
    for n_left in range(len(groups) + 1):
        for name in (*groups, "activities"):
            db.raw[name].delete_many({})
        left = a_batch()
        for name in groups[:n_left]:
            db.collection(name).add(getattr(left, name))
        added = a_batch().write(db, an_activity())
        assert set(added) == set(groups[n_left:])
        assert [db.collection(name).count() for name in groups] == [1, 1, 1]
        assert db.activities.one().n_records == 3


def a_dataset(method, split="train"):
    from forcebase.digest import merkle_root

    dataset = Dataset(
        name="d",
        version=1,
        method=method,
        members_root=merkle_root([DatasetMember.leaf("1" * 64, split)]),
        counts={"train": 1},
        e0s={"W": 0.0},
        e0s_source="given",
    ).sealed()
    member = DatasetMember(
        id=f"{dataset.id}:1", dataset=dataset.id, calculation="1" * 64, split=split
    )
    return dataset, [member]


def test_head_and_members_are_written_together_or_not_at_all(db):
    dataset, [member] = a_dataset("2" * 64)
    member.split = "elsewhere"
    with pytest.raises(InputError, match="dataset_members"):
        Batch(datasets=[(dataset, [member])]).write(db, an_activity())
    assert db.datasets.count() == db.members.count() == 0
    assert_failed(db, "a")


def test_the_same_dataset_twice_is_one(db):
    for name in ("first", "second"):
        Batch(datasets=[a_dataset("2" * 64)]).write(db, an_activity(name))
    assert (db.datasets.count(), db.members.count()) == (1, 1)


def test_the_same_name_and_version_with_other_content_is_refused(db):
    Batch(datasets=[a_dataset("2" * 64)]).write(db, an_activity("first"))
    with pytest.raises(InputError, match="d@1"):
        Batch(datasets=[a_dataset("2" * 64, "test")]).write(db, an_activity("second"))
    assert db.members.one().split == "train"
    assert db.members.count() == 1
    assert_failed(db, "second")
