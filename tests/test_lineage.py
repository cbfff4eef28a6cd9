"""Where records come from and what was made from them, on the real data."""

import json
from xml.etree import ElementTree

import pytest

from forcebase.actions.datasets import build_dataset
from forcebase.blob import Blob
from forcebase.comparison import compare
from forcebase.errors import InputError, NotFoundError
from forcebase.ingest.importing import import_paths
from forcebase.provenance import graph, steps, trace_down, trace_up
from forcebase.provenance.picture import draw_lineage
from forcebase.provenance.subject import find_subject
from forcebase.provenance.taint import remove_taint, set_taint
from forcebase.records import Calculation, ModelMethod


@pytest.fixture(scope="module")
def story(new_database, imported):
    """Cells -> dataset -> a model with its labels -> a comparison."""
    db = new_database()
    imported(db, "wse2_gpaw_pbe.extxyz")
    dft = db.methods.one()
    dataset = build_dataset(db, "d", {})
    model = ModelMethod(
        kind="MACE",
        weights=Blob(b"w").sha256,
        dtype="float64",
        elements=["Se", "W"],
        dataset=dataset.id,
    ).made_from("training data", "datasets", dataset.id)
    db.methods.add([model.sealed()])
    member = db.members.one(dataset=dataset.id, split="test")
    reference = db.calculations.get(member.calculation)
    structure = db.structures.get(member.structure)
    made = Calculation.of(structure, model, energy=reference.energy, forces=reference.forces)
    db.calculations.add([made])
    validation = compare(db, model.id, dft.id, "d:test").validation
    return (
        db,
        {
            "dft": dft,
            "dataset": dataset,
            "model": model,
            "reference": reference,
            "prediction": made,
            "validation": validation,
        },
    )


def test_up_reaches_the_files(story):
    db, records = story
    lineage = trace_up(db, "validations", records["validation"].id)
    collections = {node.collection for node in lineage.nodes.values()}
    assert collections >= {"validations", "methods", "datasets", "calculations", "activities"}
    imports = [n for n in lineage.nodes.values() if n.title.startswith("import of")]
    assert [n.title.split(" (sha256 ")[0] for n in imports] == ["import of wse2_gpaw_pbe.extxyz"]
    assert {records[k].id for k in ("dft", "model", "dataset")} <= lineage.nodes.keys()
    makers = [n for _, n in lineage.beside(records["dataset"].id) if n.collection == "activities"]
    assert [n.title.startswith("job ") for n in makers] == [True]


def test_down_tells_what_a_bad_record_taints(story):
    """A training record leads to the dataset, the model, its labels and the comparison."""
    db, records = story
    member = db.members.one(dataset=records["dataset"].id, split="train")
    lineage = trace_down(db, "calculations", member.calculation)
    made = {records[k].id for k in ("dataset", "model", "prediction", "validation")}
    assert made <= lineage.nodes.keys()
    roles = {link.role for link, node in lineage.beside(member.calculation)}
    assert roles == {"train member"}


def test_down_from_a_label_leads_to_the_comparison_that_took_it(story):
    db, records = story
    for name in ("prediction", "reference"):
        lineage = trace_down(db, "calculations", records[name].id, depth=1)
        beside = {(link.role, node.record) for link, node in lineage.beside(records[name].id)}
        assert ("compared in", records["validation"].id) in beside


def test_each_record_stands_once_with_the_shortest_way_to_it(story):
    db, records = story
    lineage = trace_up(db, "validations", records["validation"].id)
    assert lineage.nodes[records["dft"].id].depth == 1
    ends = {record for link in lineage.links for record in (link.later, link.earlier)}
    assert ends == lineage.nodes.keys()


def test_many_of_a_kind_are_counted_not_named(story):
    db, records = story
    dataset = records["dataset"]
    lineage = trace_up(db, "datasets", dataset.id, depth=1)
    train = [n for link, n in lineage.beside(dataset.id) if link.role == "train member"]
    assert len(train) == steps.MANY
    rest = next(r for r in lineage.rests if r.role == "train member")
    assert (rest.total, rest.hidden) == (dataset.counts["train"], dataset.counts["train"] - 4)
    assert rest.counted
    below = trace_down(db, "methods", records["dft"].id, depth=1)
    counts = {(r.collection, r.role): r.total for r in below.rests}
    assert counts["calculations", "method"] == db.calculations.count(method=records["dft"].id)


def test_counting_ends_at_a_bound_and_says_so(story, monkeypatch):
    db, records = story
    monkeypatch.setattr(graph, "COUNT_AT_MOST", 40)
    monkeypatch.setattr(graph, "COUNT_BELOW", 9)
    lineage = trace_down(db, "methods", records["dft"].id, depth=1)
    rest = next(r for r in lineage.rests if r.collection == "calculations")
    assert (rest.total, rest.counted) == (40, False)
    activity = records["dft"].provenance.activity
    below = trace_down(db, "activities", activity, depth=2).rests
    rest = next(r for r in below if r.record == records["dft"].id)
    assert (rest.total, rest.counted) == (9, False)


def test_a_lineage_has_a_largest_size(story, monkeypatch):
    db, records = story
    monkeypatch.setattr(graph, "MOST", 7)
    lineage = trace_up(db, "validations", records["validation"].id)
    assert len(lineage.nodes) == 7
    assert lineage.cut
    named = {record for link in lineage.links for record in (link.later, link.earlier)}
    assert named <= lineage.nodes.keys()


def test_depth_ends_the_walk(story):
    db, records = story
    none = trace_up(db, "validations", records["validation"].id, depth=0)
    assert none.links == []
    assert none.cut
    once = trace_up(db, "validations", records["validation"].id, depth=1)
    assert {node.depth for node in once.nodes.values()} == {0, 1}
    whole = trace_up(db, "structures", records["reference"].structure)
    assert not whole.cut


def test_an_activity_leads_to_what_it_made(story):
    db, records = story
    activity = db.calculations.get(records["reference"].id).provenance.activity
    lineage = trace_down(db, "activities", activity, depth=1)
    assert {n.collection for _, n in lineage.beside(activity)} >= {"structures", "calculations"}
    rest = next(r for r in lineage.rests if r.collection == "structures")
    assert rest.total == db.structures.count({"provenance.activity": activity})
    assert trace_up(db, "activities", activity).links == []


def test_a_member_stands_between_its_calculation_and_its_dataset(story):
    db, records = story
    member = db.members.one(dataset=records["dataset"].id, split="train")
    subject = find_subject(db, member.id)
    assert subject == ("dataset_members", member.id)
    assert member.calculation in trace_up(db, *subject).nodes
    assert member.dataset in trace_down(db, *subject).nodes


def test_what_answers_to_the_words_of_a_user(story):
    db, records = story
    activity = records["dataset"].provenance.activity
    assert find_subject(db, "d@1") == ("datasets", records["dataset"].id)
    assert find_subject(db, activity) == ("activities", activity)
    assert find_subject(db, activity[:12]) == ("activities", activity)
    with pytest.raises(NotFoundError, match="No record matches 'd@7'"):
        find_subject(db, "d@7")


def test_it_is_plain_data_in_the_words_of_prov(story):
    db, records = story
    plain = trace_up(db, "datasets", records["dataset"].id).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert {edge["prov"] for edge in plain["edges"]} == {
        "wasDerivedFrom",
        "wasGeneratedBy",
        "hadMember",
    }
    ids = {node["id"] for node in plain["nodes"]}
    assert {edge[end] for edge in plain["edges"] for end in ("from", "to")} <= ids
    acts = {n["id"] for n in plain["nodes"] if n["type"] == "prov:Activity"}
    assert acts == {e["to"] for e in plain["edges"] if e["prov"] == "wasGeneratedBy"}


def test_what_is_stale_says_so(story):
    db, records = story
    reference = records["reference"]
    set_taint(db, "calculations", reference.id, "k-mesh too coarse")
    lineage = trace_down(db, "calculations", reference.id)
    remove_taint(db, reference.id)
    assert lineage.nodes[reference.id].stale == "tainted: k-mesh too coarse"
    assert "k-mesh too coarse" in lineage.nodes[records["validation"].id].stale
    clean = trace_down(db, "calculations", reference.id)
    assert not any(node.stale for node in clean.nodes.values())


def test_a_record_that_is_not_there(story):
    db, _ = story
    with pytest.raises(NotFoundError, match="structures has no record 0000000000"):
        trace_up(db, "structures", "0" * 64)
    with pytest.raises(NotFoundError, match="no collection 'spectra'"):
        trace_up(db, "spectra", "0" * 64)


def test_a_parent_that_is_elsewhere_does_not_hide_the_rest(db, data_folder):
    """Cells drawn from a structure that this database was never given."""
    path = data_folder.parent / "wse2_gpaw_new" / "0000.json"
    assert import_paths(db, [path]).failed == []
    structure = db.structures.one()
    parent = structure.recipe["parent"]
    assert db.structures.missing([parent])
    lineage = trace_up(db, "calculations", db.calculations.one().id)
    assert lineage.nodes[parent].title == "not in this database"
    assert list(lineage.beside(parent)) == []


def test_a_picture_has_every_record_and_an_arrow_for_every_link(story, tmp_path):
    db, records = story
    up = trace_up(db, "datasets", records["dataset"].id)
    down = trace_down(db, "datasets", records["dataset"].id)
    path = tmp_path / "lineage.svg"
    draw_lineage(path, up, down)
    drawn = ElementTree.parse(path).getroot()
    groups = [g.get("id", "") for g in drawn.iter("{http://www.w3.org/2000/svg}g")]
    n_boxes = len(up.nodes.keys() | down.nodes.keys()) + len(up.rests) + len(down.rests)
    links = {(link.earlier, link.later) for side in (up, down) for link in side.links}
    n_arrows = len(links) + len(up.rests) + len(down.rests)
    background = 1
    assert sum(name.startswith("patch_") for name in groups) == n_boxes + n_arrows + background
    draw_lineage(tmp_path / "lineage.png", up, None)
    assert (tmp_path / "lineage.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_drawn_is_refused(story, tmp_path):
    db, records = story
    up = trace_up(db, "datasets", records["dataset"].id, depth=0)
    with pytest.raises(InputError, match="is not a picture"):
        draw_lineage(tmp_path / "lineage.doc", up, None)
    with pytest.raises(InputError, match="cannot be written"):
        draw_lineage(tmp_path / "nowhere" / "lineage.svg", up, None)
