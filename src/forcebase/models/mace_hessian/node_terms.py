"""The chain rule at one atom: its features' Jacobian, and its share of the energy's Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from forcebase.models.mace_hessian.edge_terms import EdgeTerms
from forcebase.models.mace_hessian.graph import Indices
from forcebase.models.mace_hessian.layer import Layer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Jacobian:
    """Derivatives of one atom's features with respect to the atoms that they depend on.

    Attributes:
        atoms: (n,) sorted indices of those atoms.
        features: (C, components, 3 n) of h, columns (atom, axis).
        sent: the same of u, what the next layer sends; None after the last layer.
    """

    atoms: Indices
    features: torch.Tensor
    sent: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class NodeInputs:
    """What is known of an atom before the chain rule.

    Attributes:
        node: its index.
        element: index in the model's one-hot encoding.
        senders: (n_edges,) of the edges into it.
        gradient: (C, M, m) dB/dA.
        terms: of the edges into it.
        incoming: Jacobians of the layer before, of the senders and of the atom itself; None in
            the first layer, whose features are constant.
    """

    node: int
    element: int
    senders: Indices
    gradient: torch.Tensor
    terms: EdgeTerms
    incoming: dict[int, Jacobian] | None


@dataclass(frozen=True, eq=False)
class NodeDerivatives:
    """First derivatives at an atom, in the columns `atoms` (each with 3 axes).

    Attributes:
        atoms: (n,) sorted indices of the atoms that it depends on.
        sent: (C, n_edges k, 3 n) of what its neighbours send, edge by edge; None in the first
            layer.
        basis: (C, m, 3 n) dA/dx.
        out: (C, M, 3 n) dh'/dx.
    """

    atoms: Indices
    sent: torch.Tensor | None
    basis: torch.Tensor
    out: torch.Tensor


def differentiate_node(layer: Layer, known: NodeInputs) -> NodeDerivatives:
    """Carry the Jacobian of the senders' features through one layer to one atom."""
    import torch

    parts = [known.senders, np.array([known.node])]
    if known.incoming is not None:
        parts += [jacobian.atoms for jacobian in known.incoming.values()]
    atoms = np.unique(np.concatenate(parts))
    slope = known.terms.slope
    _, _, channels, components = slope.shape
    message = slope.new_zeros(channels, components, len(atoms), 3)
    sent = None
    if known.incoming is not None and known.terms.operator is not None:
        sent = _gather(known, atoms, slope)
        operator = known.terms.operator.permute(1, 2, 0, 3).reshape(channels, components, -1)
        message = torch.bmm(operator, sent).view(channels, components, len(atoms), 3)
    along = slope.permute(2, 3, 1, 0)
    message[:, :, _place(atoms, known.node, slope)] += along.sum(dim=2)
    message.index_add_(2, _place(atoms, known.senders, slope), along, alpha=-1)
    basis = layer.mix[known.element].apply(message.flatten(2))
    out = layer.out.apply(torch.bmm(known.gradient, basis))
    if layer.skip is not None and known.incoming is not None:
        own = known.incoming[known.node]
        skipped = layer.skip[known.element].apply(own.features)
        out.unflatten(2, (-1, 3)).index_add_(
            2, _place(atoms, own.atoms, slope), skipped.unflatten(2, (-1, 3))
        )
    return NodeDerivatives(atoms, sent, basis, out)


def node_hessian(
    known: NodeInputs,
    found: NodeDerivatives,
    curvature: torch.Tensor,
    readout: torch.Tensor | None,
) -> torch.Tensor:
    """Sum all second-order terms that belong to one atom of one layer.

    Args:
        known: what went into `found`.
        found: the atom's first derivatives.
        curvature: (C, m, m) adjoint of B times d2B/dA dA.
        readout: (M C, M C) second derivative of the energy read off h', in channel order; None
            for linear readouts.

    Returns:
        (3 n, 3 n) eV/angstrom^2, columns of `found.atoms`.
    """
    import torch

    n = len(found.atoms)
    basis = found.basis.flatten(0, 1)
    total = basis.T @ torch.bmm(curvature, found.basis).flatten(0, 1)
    if readout is not None:
        out = found.out.flatten(0, 1)
        total += out.T @ (readout @ out)
    rows = total.view(n, 3, 3 * n)
    node = _place(found.atoms, known.node, total)
    senders = _place(found.atoms, known.senders, total)
    pairs = total.view(n, 3, n, 3).transpose(1, 2)
    _add_along_edges(pairs, node, senders, known.terms.curvature)
    if found.sent is not None and known.terms.mixed is not None:
        half = torch.zeros_like(rows)
        n_edges, _, channels, components = known.terms.mixed.shape
        sent = found.sent.view(channels, n_edges, components, 3 * n)
        mixed = torch.einsum("eack,cekx->eax", known.terms.mixed, sent)
        half[node] += mixed.sum(dim=0)
        half.index_add_(0, senders, mixed, alpha=-1)
        half = half.view(3 * n, 3 * n)
        total += half + half.T
    return total


def _gather(known: NodeInputs, atoms: Indices, like: torch.Tensor) -> torch.Tensor:
    """Put the senders' Jacobians into common columns: (C, n_edges k, 3 n)."""
    assert known.incoming is not None
    first = known.incoming[known.node].sent
    assert first is not None
    channels, components, _ = first.shape
    found = like.new_zeros(channels, len(known.senders), components, len(atoms), 3)
    for edge, sender in enumerate(known.senders):
        jacobian = known.incoming[int(sender)]
        assert jacobian.sent is not None
        place = _place(atoms, jacobian.atoms, like)
        found[:, edge].index_copy_(2, place, jacobian.sent.unflatten(2, (-1, 3)))
    return found.view(channels, -1, 3 * len(atoms))


def _add_along_edges(
    pairs: torch.Tensor, node: torch.Tensor, senders: torch.Tensor, curvature: torch.Tensor
) -> None:
    """Add d2/dr dr of r = x(node) - x(sender) to (n, n, 3, 3), in place."""
    import torch

    nodes = node.expand(len(senders))
    rows = torch.cat([nodes, senders, nodes, senders])
    columns = torch.cat([nodes, senders, senders, nodes])
    blocks = torch.cat([curvature, curvature, -curvature, -curvature])
    pairs.index_put_((rows, columns), blocks, accumulate=True)


def _place(atoms: Indices, wanted: Indices | int, like: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.as_tensor(np.searchsorted(atoms, wanted), device=like.device)
