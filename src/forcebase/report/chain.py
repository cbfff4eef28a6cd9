"""Chain of provenance: from the records that numbers are read from, back to where all begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forcebase.report.content import ProvenanceNode


@dataclass(frozen=True)
class Branch:
    """Records of one role, and the branches of what they were made from.

    Attributes:
        role: what they were to the records before them; "" at an end of the chain.
        nodes: the records.
        branches: what these were made from, each record followed once in the whole tree.
        followed: they were followed at another place.
    """

    role: str
    nodes: tuple[ProvenanceNode, ...]
    branches: tuple[Branch, ...]
    followed: bool


def chain(provenance: list[ProvenanceNode]) -> tuple[Branch, ...]:
    """Order records as trees, one for each record that none of the others was made from.

    Records of one role stand together: 54 training calculations are one branch.

    Args:
        provenance: records, with all their parents among them.
    """
    known = {node.record: node for node in provenance}
    made_from = {parent for node in provenance for _, parent in node.parents}
    seen: set[str] = set()
    ends = (node for node in provenance if node.record not in made_from)
    return tuple(_branch("", (end,), known, seen) for end in ends)


def _branch(
    role: str,
    nodes: tuple[ProvenanceNode, ...],
    known: dict[str, ProvenanceNode],
    seen: set[str],
) -> Branch:
    new = [node for node in nodes if node.record not in seen]
    seen.update(node.record for node in new)
    branches = tuple(
        _branch(next_role, tuple(known[record] for record in records), known, seen)
        for next_role, records in _roles(new)
    )
    return Branch(role, nodes, branches, followed=not new)


def _roles(nodes: list[ProvenanceNode]) -> Iterator[tuple[str, list[str]]]:
    """Yield each role among the parents of `nodes`, with its records in order, each once."""
    roles: dict[str, dict[str, None]] = {}
    for node in nodes:
        for role, record in node.parents:
            roles.setdefault(role, {})[record] = None
    for role, records in roles.items():
        yield role, list(records)
