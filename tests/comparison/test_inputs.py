"""A comparison keeps what went in: taints, archives and lineages read it, and guess nothing."""

from __future__ import annotations

import numpy as np
import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.archive import write_archive
from forcebase.archive.contents import gather
from forcebase.comparison import compare
from forcebase.database.compared import (
    compared,
    comparisons_with,
    holds,
    pack_inputs,
    packed_ids,
    sides,
    whole,
)
from forcebase.digest import bytes_digest, merkle_root
from forcebase.ingest.batch import Batch
from forcebase.integrity.findings import FindingKind
from forcebase.integrity.verify import verify
from forcebase.provenance import trace_down
from forcebase.provenance.taint import remove_taint, set_taint, stale_among
from forcebase.records import Activity, Calculation, ModelMethod, Validation
from forcebase.records.base import CHECKSUM


@pytest.fixture(scope="module")
def story(new_database, imported):
    """A model that labelled twelve structures; two comparisons on queries, of six each."""
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    dft = db.methods.one()
    dataset = build_dataset(db, "d", {})
    weights = b"weights"
    model = ModelMethod(
        kind="MACE", weights=bytes_digest(weights), dtype="float64", elements=["Se", "W"]
    )
    labels = []
    for kind in ("pristine-2x2", "pristine-1x1"):
        found = db.calculations.raw.find({"kind": kind, "method_class": "dft"}, {"structure": 1})
        names = sorted(row["structure"] for row in found)[:6]
        if len(names) < 6:
            pytest.fail(f"no six cells of {kind}")
        for name in names:
            structure = db.structures.get(name)
            zero = structure.positions * 0
            labels.append(Calculation.of(structure, model.sealed(), energy=-1.0, forces=zero))
    made = Activity(id="predict:1", kind="job", name="predict")
    Batch(blobs=[weights], methods=[model], calculations=labels).write(db, made)
    one = compare(db, model.id, dft.id, {"kind": "pristine-2x2"}).validation
    other = compare(db, model.id, dft.id, {"kind": "pristine-1x1"}).validation
    return db, dft, model, dataset, one, other


@pytest.fixture(autouse=True)
def no_taints_left(story):
    yield
    untaint_all(story[0])


def untaint_all(db):
    for taint in list(db.taints.find()):
        remove_taint(db, taint.id)


def test_both_sides_are_kept_and_have_the_root_of_the_record(story):
    db, dft, model, _, one, other = story
    for found in (one, other):
        ours, theirs = sides(db, found.to_mongo())
        assert len(ours) == len(theirs) == found.n == 6
        assert merkle_root([*ours, *theirs]) == found.inputs_root
        assert {db.calculations.get(name).method for name in ours} == {model.id}
        assert {db.calculations.get(name).method for name in theirs} == {dft.id}
        assert len(db.blobs.get(found.inputs)) == 12 * 32


def test_a_taint_reaches_just_the_comparison_that_took_the_record(story):
    db, _, _, _, one, other = story
    for mine, others in ((one, other), (other, one)):
        for side in sides(db, mine.to_mongo()):
            set_taint(db, "calculations", side[0], "wrong spin")
            stale = stale_among(db, "validations", [mine.id, others.id])
            untaint_all(db)
            assert mine.id in stale
            in_datasets = any("datasets" in reason for reason in stale.values())
            assert others.id not in stale or in_datasets


def test_what_was_labelled_and_compared_nowhere_taints_no_comparison(story):
    db, dft, _, _, one, other = story
    used = {name for v in (one, other) for side in sides(db, v.to_mongo()) for name in side}
    spare = next(c.id for c in db.calculations.find(method=dft.id) if c.id not in used)
    set_taint(db, "calculations", spare, "k-mesh too coarse")
    assert stale_among(db, "validations", [one.id, other.id]) == {}


def test_a_calculation_is_traced_to_the_comparisons_that_took_it(story):
    db, _, _, _, one, _ = story
    (ours, _), row = sides(db, one.to_mongo()), None
    row = db.calculations.raw.find_one({"_id": ours[0]})
    assert comparisons_with(db, row, 32) == ([one.id], True)
    lineage = trace_down(db, "calculations", ours[0])
    assert one.id in lineage.nodes


def test_an_archive_takes_what_went_in_and_no_more(story, tmp_path):
    db, _, _, _, one, other = story
    contents = gather(db, [("validations", one.id)])
    calculations = contents.ids["calculations"]
    assert set(sides(db, one.to_mongo())[0]) <= calculations
    assert not set(sides(db, other.to_mongo())[0]) & calculations
    assert one.inputs in contents.blobs
    write_archive(db, [("validations", one.id)], tmp_path / "a.zip")


def test_a_lost_list_is_found(story):
    db, *_, other = story
    data = db.blobs.get(other.inputs)
    db.raw["blobs.files"].delete_one({"_id": other.inputs})
    db.raw["blobs.chunks"].delete_many({"files_id": other.inputs})
    kinds = {finding.kind for finding in verify(db, models=False).findings}
    db.blobs.put(data)
    assert FindingKind.BLOB_MISSING in kinds


def test_one_of_before_is_taken_to_have_used_all_of_its_methods_and_gets_its_list(story):
    """As databases of schema 7 have it; asked for again, the comparison is the same record."""
    db, dft, model, _, one, _ = story
    row = db.validations.raw.find_one({"_id": one.id})
    kept = row.pop("inputs")
    row[CHECKSUM] = Validation.checksum_of(row)
    db.validations.raw.replace_one({"_id": one.id}, row)
    assert len(compared(db, row)) == db.calculations.count()
    again = compare(db, model.id, dft.id, {"kind": "pristine-2x2"}).validation
    assert (again.id, again.inputs) == (one.id, kept)
    damage = {finding.kind for finding in verify(db, models=False).findings}
    assert damage <= {FindingKind.PROBE_MISSING}  # of weights that are none


def test_ids_that_end_in_zeros_are_told_apart():
    names = ["ab" * 31 + "00", "ab" * 30 + "0000", "ab" * 32]
    data = np.frombuffer(pack_inputs(names[:2]), dtype="S32")
    assert [one.hex() for one in whole(data)] == names[:2]
    assert holds(data, packed_ids(names[1:]))
    assert not holds(data, packed_ids(names[2:]))
