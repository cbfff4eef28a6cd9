"""The lineage of a record as a graph: what it comes from, what was made from it, what is stale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from forcebase.database.database import Database
from forcebase.provenance.steps import (
    COUNT_AT_MOST,
    COUNT_BELOW,
    Relation,
    Step,
    steps_down,
    steps_up,
)
from forcebase.provenance.taint import stale_among
from forcebase.records.kinds import kind_of

MOST = 200
"""Records in one lineage: what people can read, and what 0.2 s can look up."""


class Direction(Enum):
    """Which way a trace goes."""

    UP = "up"
    """to what a record was made from"""
    DOWN = "down"
    """to what was made from it"""


@dataclass(frozen=True)
class Node:
    """A record, activity or dataset member.

    Attributes:
        record: its id.
        collection: where it is.
        title: a short name for people.
        depth: steps from the root.
        stale: why it is not to be trusted; "" where nothing is said against it.
    """

    record: str
    collection: str
    title: str
    depth: int
    stale: str = ""


@dataclass(frozen=True)
class Link:
    """`later` came of `earlier`, which was `role` to it."""

    later: str
    earlier: str
    role: str
    relation: Relation


@dataclass(frozen=True)
class Rest:
    """Records beside one record that are counted, not named.

    Attributes:
        record: id of the one record.
        role: what the earlier was to the later.
        relation: in PROV's words.
        collection: of those counted.
        total: how many there are in all, the named ones included.
        counted: False where there may be more than `total`.
        hidden: how many of them are not named.
    """

    record: str
    role: str
    relation: Relation
    collection: str
    total: int
    counted: bool
    hidden: int


@dataclass
class Lineage:
    """What a trace found.

    Attributes:
        root: id of the record that was asked about.
        direction: which way.
        nodes: by id, nearest first.
        links: between them.
        rests: what is counted, not named.
        cut: whether it goes on beyond the depth or the number of records asked for.
    """

    root: str
    direction: Direction
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    cut: bool = False

    def beside(self, record: str) -> Iterator[tuple[Link, Node]]:
        """Yield the links of a record in the direction of the trace, and where they lead."""
        up = self.direction is Direction.UP
        for link in self.links:
            here, there = (link.later, link.earlier) if up else (link.earlier, link.later)
            if here == record:
                yield link, self.nodes[there]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`: nodes and edges in the words of PROV."""
        return {
            "root": self.root,
            "direction": self.direction.value,
            "nodes": [_plain_node(node) for node in self.nodes.values()],
            "edges": [
                {
                    "prov": link.relation.value,
                    "from": link.later,
                    "to": link.earlier,
                    "role": link.role,
                }
                for link in self.links
            ],
            "counts": [
                {
                    "prov": rest.relation.value,
                    "of": rest.record,
                    "role": rest.role,
                    "collection": rest.collection,
                    "total": rest.total,
                    "exact": rest.counted,
                }
                for rest in self.rests
            ],
            "goes_on": self.cut,
        }


def trace_up(db: Database, collection: str, record_id: str, depth: int = 6) -> Lineage:
    """What this record was made from, and that in turn.

    Raises:
        NotFoundError: there is no such record.
    """
    return _trace(db, collection, record_id, Direction.UP, depth)


def trace_down(db: Database, collection: str, record_id: str, depth: int = 6) -> Lineage:
    """What was made from this record, and from that in turn.

    Raises:
        NotFoundError: there is no such record.
    """
    return _trace(db, collection, record_id, Direction.DOWN, depth)


def _trace(
    db: Database, collection: str, record_id: str, direction: Direction, depth: int
) -> Lineage:
    """Level by level, each record once, up to `MOST` of them."""
    lineage = Lineage(record_id, direction)
    step: Callable[..., Iterator[Step]] = steps_up if direction is Direction.UP else steps_down
    level = _read(db, {record_id: collection})
    if record_id not in level:
        db.collection(collection).get(record_id)
    for distance in range(depth + 1):
        _add_nodes(db, lineage, level, distance)
        following: dict[str, str] = {}
        for record, (place, document) in level.items():
            if document is None:
                continue
            for found in step(db, place, document, COUNT_BELOW if distance else COUNT_AT_MOST):
                if distance == depth:
                    lineage.cut = True
                    break
                following |= _add_step(lineage, record, found, following)
        level = {name: (place, None) for name, place in following.items()}
        level |= _read(db, following)
    return lineage


Level = dict[str, tuple[str, dict[str, Any] | None]]


def _add_step(lineage: Lineage, record: str, step: Step, waiting: dict[str, str]) -> dict[str, str]:
    """Link what a step names, count what it does not, and give what is new."""
    new: dict[str, str] = {}
    named = 0
    for other in step.records:
        known = other in lineage.nodes or other in waiting
        if not known and len(lineage.nodes) + len(waiting) + len(new) >= MOST:
            lineage.cut = True
            continue
        if not known:
            new[other] = step.collection
        later, earlier = (record, other) if lineage.direction is Direction.UP else (other, record)
        lineage.links.append(Link(later, earlier, step.role, step.relation))
        named += 1
    if step.total > named:
        hidden = step.total - named
        place, total, counted = step.collection, step.total, step.counted
        lineage.rests.append(Rest(record, step.role, step.relation, place, total, counted, hidden))
    return new


def _read(db: Database, wanted: dict[str, str]) -> Level:
    places: dict[str, list[str]] = {}
    for record, place in wanted.items():
        places.setdefault(place, []).append(record)
    return {
        document["_id"]: (place, document)
        for place, records in places.items()
        for document in _collection(db, place).by_ids(records, _light(place))
    }


def _light(collection: str) -> dict[str, int]:
    """All fields but the heavy ones."""
    return dict.fromkeys(kind_of(collection).about.heavy, 0)


def _collection(db: Database, name: str) -> Any:
    return db.members if name == db.members.name else db.collection(name)


def _add_nodes(db: Database, lineage: Lineage, level: Level, distance: int) -> None:
    for place in dict.fromkeys(place for place, _ in level.values()):
        records = {r: document for r, (there, document) in level.items() if there == place}
        stale = stale_among(db, place, records) if place != db.members.name else {}
        shape = _collection(db, place).document
        for record, document in records.items():
            text = "not in this database"
            if document is not None:
                text = str(shape._from_son(document).title)
            lineage.nodes[record] = Node(record, place, text, distance, stale.get(record, ""))


def _plain_node(node: Node) -> dict[str, Any]:
    kind = "prov:Activity" if node.collection == "activities" else "prov:Entity"
    plain = {"id": node.record, "type": kind, "collection": node.collection, "title": node.title}
    return {**plain, "stale": node.stale} if node.stale else plain
