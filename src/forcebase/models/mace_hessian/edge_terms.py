"""Derivatives along edges: of messages, and of the energy that goes through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forcebase.models.mace_hessian.adjoints import LayerState
from forcebase.models.mace_hessian.channel_map import to_channels
from forcebase.models.mace_hessian.graph import Graph, Indices
from forcebase.models.mace_hessian.layer import Layer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class EdgeTerms:
    """For messages m(r, u) along some edges, r the vector from sender to receiver.

    Attributes:
        slope: (3, n_edges, C, q) dm/dr.
        operator: (n_edges, C, q, k) dm/du; None where u is constant.
        curvature: (n_edges, 3, 3) adjoint of m times d2m/dr dr.
        mixed: (n_edges, 3, C, k) adjoint of m times d2m/dr du; None where u is constant.
    """

    slope: torch.Tensor
    operator: torch.Tensor | None
    curvature: torch.Tensor
    mixed: torch.Tensor | None

    def of(self, edges: slice) -> EdgeTerms:
        """The same for some of the edges."""
        return EdgeTerms(
            slope=self.slope[:, edges],
            operator=None if self.operator is None else self.operator[edges],
            curvature=self.curvature[edges],
            mixed=None if self.mixed is None else self.mixed[edges],
        )

    def to(self, dtype: torch.dtype) -> EdgeTerms:
        """The same in another precision."""
        return EdgeTerms(
            slope=self.slope.to(dtype),
            operator=None if self.operator is None else self.operator.to(dtype),
            curvature=self.curvature.to(dtype),
            mixed=None if self.mixed is None else self.mixed.to(dtype),
        )


def edge_terms(
    network: Any, layer: Layer, state: LayerState, graph: Graph, edges: Indices, first: bool
) -> EdgeTerms:
    """Differentiate the messages of a layer along `edges`; in the first layer u is constant."""
    import torch

    batch = graph.batch
    chosen = torch.as_tensor(edges, device=batch["edge_index"].device)
    index = batch["edge_index"][:, chosen]
    senders, receivers = index
    positions = batch["positions"].detach()
    vectors = positions[receivers] - positions[senders] + batch["shifts"][chosen]
    sent = layer.interaction.linear_up(state.features[senders]).detach()
    inputs = {
        "index": index,
        "vectors": vectors.requires_grad_(True),
        "sent": sent.requires_grad_(not first),
    }
    message = layer.message(network, batch, inputs)
    weighting = _message_adjoint(layer, state, batch, receivers).requires_grad_(True)
    (force,) = torch.autograd.grad(message, inputs["vectors"], weighting, create_graph=True)
    wanted = [weighting, inputs["vectors"]] + ([] if first else [inputs["sent"]])
    slopes, curvature, mixed = [], [], []
    for axis in range(3):
        found = torch.autograd.grad(force[:, axis].sum(), wanted, retain_graph=axis < 2)
        slopes.append(to_channels(found[0], layer.interaction.conv_tp.irreps_out))
        curvature.append(found[1])
        if not first:
            mixed.append(to_channels(found[2], layer.interaction.conv_tp.irreps_in1))
    with torch.no_grad():
        operator = None if first else layer.operator(network, batch, inputs)
    return EdgeTerms(
        slope=torch.stack(slopes),
        operator=operator,
        curvature=torch.stack(curvature, dim=1),
        mixed=None if first else torch.stack(mixed, dim=1),
    )


def pair_curvature(
    network: Any, graph: Graph, edges: Indices, adjoint: torch.Tensor
) -> torch.Tensor:
    """Give d2E/dr dr of the pair repulsion along `edges`: (n_edges, 3, 3)."""
    import torch

    batch = graph.batch
    chosen = torch.as_tensor(edges, device=batch["edge_index"].device)
    index = batch["edge_index"][:, chosen]
    positions = batch["positions"].detach()
    vectors = positions[index[1]] - positions[index[0]] + batch["shifts"][chosen]
    vectors.requires_grad_(True)
    energies = network.pair_repulsion_fn(
        torch.linalg.norm(vectors, dim=-1, keepdim=True),
        batch["node_attrs"],
        index,
        network.atomic_numbers,
    )
    (force,) = torch.autograd.grad((energies * adjoint).sum(), vectors, create_graph=True)
    rows = [
        torch.autograd.grad(force[:, axis].sum(), vectors, retain_graph=True)[0]
        for axis in range(3)
    ]
    return torch.stack(rows, dim=1)


def _message_adjoint(
    layer: Layer, state: LayerState, batch: dict[str, Any], receivers: torch.Tensor
) -> torch.Tensor:
    """DE/d(summed messages) of each edge's receiver, (n_edges, dim) flat."""
    import torch

    nodes, back = receivers.unique(return_inverse=True)
    sums = state.basis.new_zeros(len(nodes), layer.interaction.conv_tp.irreps_out.dim)
    sums.requires_grad_(True)
    basis = layer.interaction.reshape(layer.basis(sums, batch["node_attrs"][nodes]))
    (adjoint,) = torch.autograd.grad(basis, sums, state.basis_adjoint[nodes])
    return adjoint[back].detach()
