"""Second derivatives of the energy read off an atom's features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forcebase.models.mace_hessian.adjoints import Adjoints
from forcebase.models.mace_hessian.channel_map import to_channels
from forcebase.models.mace_hessian.graph import Graph, Indices

if TYPE_CHECKING:
    import torch


def readout_curvature(
    network: Any,
    layer: int,
    graph: Graph,
    adjoints: Adjoints,
    nodes: Indices,
    dtype: torch.dtype,
) -> torch.Tensor | None:
    """Give d2E/dh dh of `nodes` through the readout of a layer.

    Returns:
        (n, C M, C M), channels first; None where the readout is linear or absent.
    """
    import torch

    n_readouts, n_layers = len(network.readouts), len(network.interactions)
    number = n_readouts - n_layers + layer if n_readouts == 1 else layer
    if number < 0:
        return None
    features = adjoints.layers[layer].out[nodes].requires_grad_(True)
    heads = _heads(graph)[nodes]
    energies = network.readouts[number](features, heads)
    (gradient,) = torch.autograd.grad(
        energies, features, adjoints.readouts[number][nodes], create_graph=True
    )
    if gradient.grad_fn is None:
        return None
    irreps = network.products[layer].linear.irreps_out
    rows = [
        torch.autograd.grad(column.sum(), features, retain_graph=True)[0]
        for column in gradient.unbind(dim=1)
    ]
    half = to_channels(torch.stack(rows, dim=1), irreps).flatten(-2)
    return to_channels(half.transpose(1, 2), irreps).flatten(-2).to(dtype)


def _heads(graph: Graph) -> torch.Tensor:
    import torch

    batch = graph.batch
    if "head" in batch:
        return batch["head"][batch["batch"]]
    return torch.zeros_like(batch["batch"])
