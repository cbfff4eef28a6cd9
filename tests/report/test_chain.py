"""The chain of provenance: nothing left out, nothing followed twice."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from forcebase.report.chain import Branch, chain
from forcebase.report.content import ProvenanceNode


@st.composite
def lineages(draw) -> list[ProvenanceNode]:
    """Records of which each is made from earlier ones, the latest first."""
    nodes: list[ProvenanceNode] = []
    for i in range(draw(st.integers(1, 9))):
        earlier = st.sampled_from([str(j) for j in range(i)]) if i else st.nothing()
        made_from = st.tuples(st.sampled_from(("method", "structure")), earlier)
        parents = tuple(draw(st.lists(made_from, max_size=4, unique=True))) if i else ()
        nodes.insert(0, ProvenanceNode(str(i), "records", f"record {i}", "", parents))
    return nodes


def walk(branches: tuple[Branch, ...]) -> Iterator[Branch]:
    for branch in branches:
        yield branch
        yield from walk(branch.branches)


@given(lineages())
def test_every_record_is_in_the_chain(nodes):
    shown = {node.record for branch in walk(chain(nodes)) for node in branch.nodes}
    assert shown == {node.record for node in nodes}


@given(lineages())
def test_every_edge_is_followed_once(nodes):
    followed = Counter(
        (branch.role, node.record) for branch in walk(chain(nodes)) for node in branch.nodes
    )
    edges = {edge for node in nodes for edge in node.parents}
    made_from = {record for _, record in edges}
    ends = {("", node.record) for node in nodes if node.record not in made_from}
    assert followed.keys() == edges | ends
    for branch in walk(chain(nodes)):
        assert not (branch.followed and branch.branches)


def test_records_of_one_role_stand_together(provenance, timings):
    (top,) = chain(provenance)
    assert [branch.role for branch in top.branches] == [
        "model",
        "reference",
        "on",
        "label",
        "prediction",
    ]
    model = top.branches[0]
    (dataset,) = model.branches
    (members,) = dataset.branches
    assert (dataset.role, members.role) == ("training data", "train member")
    assert len(members.nodes) == len(timings)
    labels = top.branches[3]
    assert labels.nodes == members.nodes
    assert labels.followed


def test_what_was_followed_before_is_not_followed_again(provenance):
    (top,) = chain(provenance)
    dataset = top.branches[2]
    assert dataset.followed
    assert dataset.branches == ()
