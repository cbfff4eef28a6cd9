"""A database with everything in it that can be damaged, and ways to damage it and mend it again."""

from contextlib import contextmanager

import pytest
from bson import Binary

from forcebase.actions.datasets import build_dataset
from forcebase.comparison import compare
from forcebase.database.publishing import publish_frames
from forcebase.datasets import dataset_frames
from forcebase.ingest.batch import Batch
from forcebase.ingest.outputs import model_batch
from forcebase.records import Activity, Calculation

FILES = (
    "wse2_gpaw_pbe.extxyz",
    "wse2_gpaw_unitcell.extxyz",
    "wse2_gpaw_3x3_displacements.extxyz",
    "phonopy_wse2_gpaw_3x3.yaml",
)


@pytest.fixture(scope="session")
def filled(new_database, quick_model, imported):
    """Real DFT, a dataset, a real model with a label, comparisons, a name: all of it sound."""
    db = new_database()
    imported(db, *FILES)
    dataset = build_dataset(db, "d", {})
    publish_frames(db, dataset_frames(db, dataset))  # as a training does
    made = model_batch(db, {**quick_model.output, "dataset": dataset.id})
    made.write(db, Activity(id="training:1", kind="job", name="train"))
    [model] = made.methods
    member = db.members.one(dataset=dataset.id, split="test")
    reference = db.calculations.get(member.calculation)
    structure = db.structures.get(member.structure)
    label = Calculation.of(structure, model, energy=reference.energy, forces=reference.forces)
    Batch(calculations=[label]).write(db, Activity(id="prediction:1", kind="job", name="predict"))
    db.names.name("gpaw-pbe", "methods", reference.method)
    compare(db, model.id, reference.method, "d:test")
    compare(db, model.id, reference.method)
    return db


class Damage:
    """Ways to damage a database behind its validators, each undone at the end of its block."""

    @staticmethod
    def _put(collection, document):
        change = {"q": {"_id": document["_id"]}, "u": document}
        collection.database.command(
            "update", collection.name, updates=[change], bypassDocumentValidation=True
        )

    @contextmanager
    def changed(self, collection, query, change):
        """A document edited by hand."""
        before, after = collection.find_one(query), collection.find_one(query)
        change(after)
        assert after != before
        self._put(collection, after)
        try:
            yield before
        finally:
            self._put(collection, before)

    @contextmanager
    def removed(self, collection, query):
        """Documents that are not there."""
        documents = list(collection.find(query))
        assert documents
        collection.delete_many({"_id": {"$in": [d["_id"] for d in documents]}})
        try:
            yield documents
        finally:
            collection.insert_many(documents)

    @contextmanager
    def added(self, collection, document):
        """A document that should not be there."""
        collection.insert_one(document)
        try:
            yield document
        finally:
            collection.delete_one({"_id": document["_id"]})

    @staticmethod
    def flip(data, place):
        """The bytes with one bit of one of them turned."""
        return Binary(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@pytest.fixture(scope="session")
def damage():
    return Damage()
