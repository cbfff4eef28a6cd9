"""The Hessian of a MACE model's energy: a sum over atoms of small exact matrices.

E depends on the features of each layer, those on the features of the layer before and on the
vectors along edges. The second-order chain rule then reads

    H = sum over layers and atoms of  (dA)^T [dE/dB d2B/dA dA] dA
      + sum over edges of             dE/dm d2m/d(r, u) d(r, u)
      + sum over readouts of          (dh)^T [d2E/dh dh] dh

where all that is dense, dA/dx and dh/dx, lives on the few atoms within reach of one atom, and
dE/d(anything) comes from one ordinary backward pass. Every atom's terms are invariant under
translations and symmetric by themselves, and related by symmetry to those of its images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forcebase.models.mace_hessian.adjoints import Adjoints, differentiate
from forcebase.models.mace_hessian.channel_map import to_channels
from forcebase.models.mace_hessian.edge_terms import EdgeTerms, edge_terms, pair_curvature
from forcebase.models.mace_hessian.graph import Graph, Indices
from forcebase.models.mace_hessian.layer import Layer, read_layer
from forcebase.models.mace_hessian.node_terms import (
    Jacobian,
    NodeDerivatives,
    NodeInputs,
    differentiate_node,
    node_hessian,
)
from forcebase.models.mace_hessian.readout import readout_curvature

if TYPE_CHECKING:
    import torch

NODES_AT_ONCE = 32
"""Atoms whose edges are differentiated together; more only cost memory."""


@dataclass(frozen=True, eq=False)
class NodeShare:
    """What one atom's terms add to the Hessian.

    Attributes:
        center: the atom.
        atoms: (n,) the atoms that they couple.
        block: (n, n, 3, 3) eV/angstrom^2.
    """

    center: int
    atoms: Indices
    block: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TakenApart:
    """A network as layers, for the elements of one structure."""

    network: Any
    layers: list[Layer]

    @property
    def hops(self) -> int:
        """Messages after which an atom no longer feels another."""
        return len(self.layers)


def take_apart(network: Any, graph: Graph) -> TakenApart:
    """Read all layers of a float64 network, for the elements of a graph."""
    elements = graph.batch["node_attrs"].argmax(dim=1).unique().tolist()
    layers = [read_layer(network, i, elements) for i in range(len(network.interactions))]
    return TakenApart(network, layers)


def node_shares(
    parts: TakenApart, graph: Graph, centers: Indices, dtype: torch.dtype
) -> Iterator[NodeShare]:
    """Give the terms of some atoms of a graph, as many times as there are layers.

    The Hessian of the graph's energy is the sum over all its atoms; indices are those of
    `graph.atoms`.

    Args:
        parts: the model.
        graph: a whole structure, or a cut-out by `region`.
        centers: indices within `graph`.
        dtype: of the matrix products; the derivatives that go in are in float64.
    """
    counted = graph.neighborhood(centers, parts.hops - 1)
    adjoints = differentiate(parts.network, graph, counted)
    walk = _Walk(parts, graph, adjoints, centers, dtype)
    for layer in range(parts.hops):
        yield from walk.through(layer)


def region(parts: TakenApart, graph: Graph, centers: Indices) -> Graph:
    """Cut out all that the terms of `centers` depend on."""
    reach = parts.hops - 1
    receivers = graph.neighborhood(centers, 2 * reach)
    return graph.cut_out(graph.neighborhood(receivers, 1), receivers)


class _Walk:
    """Layer after layer over the atoms that matter, keeping the Jacobians of the last one."""

    def __init__(
        self,
        parts: TakenApart,
        graph: Graph,
        adjoints: Adjoints,
        centers: Indices,
        dtype: torch.dtype,
    ) -> None:
        self.parts, self.graph, self.adjoints = parts, graph, adjoints
        self.centers, self.dtype = centers, dtype
        self.jacobians: dict[int, Jacobian] | None = None
        self.elements = graph.batch["node_attrs"].argmax(dim=1)

    def through(self, index: int) -> Iterator[NodeShare]:
        """Go through one layer, giving the terms of the centres."""
        nodes = self.graph.neighborhood(self.centers, self.parts.hops - 1 - index)
        found: dict[int, Jacobian] = {}
        for start in range(0, len(nodes), NODES_AT_ONCE):
            chunk = nodes[start : start + NODES_AT_ONCE]
            second_order = self._second_order(index, np.intersect1d(chunk, self.centers))
            for known in self._inputs(index, chunk):
                derived = differentiate_node(self.parts.layers[index], known)
                found[known.node] = self._jacobian(index, derived)
                if known.node in second_order:
                    yield self._share(known, derived, *second_order[known.node])
        self.jacobians = found

    def _inputs(self, index: int, nodes: Indices) -> list[NodeInputs]:
        layer, state = self.parts.layers[index], self.adjoints.layers[index]
        terms = self._edge_terms(index, self.graph.edges_into(nodes))
        gradient = layer.polynomial.gradient(state.basis[nodes], self.elements[nodes])
        ends = np.cumsum(self.graph.first_edges[nodes + 1] - self.graph.first_edges[nodes])
        return [
            NodeInputs(
                node=int(node),
                element=int(self.elements[node]),
                senders=self.graph.senders_to(node),
                gradient=gradient[row].to(self.dtype),
                terms=terms.of(slice(0 if row == 0 else int(ends[row - 1]), int(ends[row]))),
                incoming=self._incoming(node),
            )
            for row, node in enumerate(nodes)
        ]

    def _incoming(self, node: int) -> dict[int, Jacobian] | None:
        if self.jacobians is None:
            return None
        needed = {int(node), *self.graph.senders_to(node).tolist()}
        return {other: self.jacobians[other] for other in needed}

    def _edge_terms(self, index: int, edges: Indices) -> EdgeTerms:
        terms = edge_terms(
            self.parts.network,
            self.parts.layers[index],
            self.adjoints.layers[index],
            self.graph,
            edges,
            first=index == 0,
        )
        if index == 0 and self.adjoints.pair is not None:
            pair = pair_curvature(self.parts.network, self.graph, edges, self.adjoints.pair)
            terms = replace(terms, curvature=terms.curvature + pair)
        return terms.to(self.dtype)

    def _second_order(
        self, index: int, nodes: Indices
    ) -> dict[int, tuple[torch.Tensor, torch.Tensor | None]]:
        """Curvatures of the product and of the readout of each node."""
        if not len(nodes):
            return {}
        layer, state = self.parts.layers[index], self.adjoints.layers[index]
        adjoint = to_channels(state.product_adjoint[nodes], layer.product.linear.irreps_in)
        basis, elements = state.basis[nodes], self.elements[nodes]
        product = layer.polynomial.curvature(basis, elements, adjoint).to(self.dtype)
        readout = readout_curvature(
            self.parts.network, index, self.graph, self.adjoints, nodes, self.dtype
        )
        return {
            int(node): (product[row], None if readout is None else readout[row])
            for row, node in enumerate(nodes)
        }

    def _share(
        self,
        known: NodeInputs,
        derived: NodeDerivatives,
        product: torch.Tensor,
        readout: torch.Tensor | None,
    ) -> NodeShare:
        n = len(derived.atoms)
        block = node_hessian(known, derived, product, readout).view(n, 3, n, 3)
        return NodeShare(
            center=int(self.graph.atoms[known.node]),
            atoms=self.graph.atoms[derived.atoms],
            block=block.permute(0, 2, 1, 3).double().cpu().numpy(),
        )

    def _jacobian(self, index: int, derived: NodeDerivatives) -> Jacobian:
        sent = None
        if index + 1 < self.parts.hops:
            sent = self.parts.layers[index + 1].up.apply(derived.out)
        return Jacobian(derived.atoms, derived.out, sent)
