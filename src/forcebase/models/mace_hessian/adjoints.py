"""Features of a MACE model and the energy's derivatives with respect to them, from its own pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forcebase.models.mace_hessian.graph import Graph, Indices

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class LayerState:
    """Values in a layer and the adjoints dE/d(value), for all atoms of a graph.

    Attributes:
        features: (n, dim) flat h that comes in.
        basis: (n, C, m) A.
        basis_adjoint: (n, C, m) dE/dA.
        product_adjoint: (n, dim) flat dE/dB.
        out: (n, dim) flat h' that goes out.
    """

    features: torch.Tensor
    basis: torch.Tensor
    basis_adjoint: torch.Tensor
    product_adjoint: torch.Tensor
    out: torch.Tensor


@dataclass(frozen=True, eq=False)
class Adjoints:
    """What one forward and one backward pass of a model tell.

    Attributes:
        layers: one state for each layer.
        readouts: (n, heads) dE/d(output) of each readout.
        pair: (n,) dE/d(pair repulsion of an atom); None for a model without.
    """

    layers: list[LayerState]
    readouts: list[torch.Tensor]
    pair: torch.Tensor | None


def differentiate(network: Any, graph: Graph, counted: Indices) -> Adjoints:
    """Run the model on a graph and back, E being the sum of the `counted` atoms' energies."""
    import torch

    caught: dict[str, torch.Tensor] = {}
    with _listening(network, caught):
        output = network(graph.fresh_batch(), compute_force=False)
    kept = torch.as_tensor(counted, device=output["node_energy"].device)
    energy = output["node_energy"][kept].sum()
    n_layers = len(network.interactions)
    names = [f"{kind}{i}" for i in range(n_layers) for kind in ("A", "B")]
    names += [f"readout{i}" for i in range(len(network.readouts))]
    names += ["pair"] if "pair" in caught else []
    gradients = torch.autograd.grad(energy, [caught[name] for name in names], allow_unused=True)
    adjoint = {
        name: torch.zeros_like(caught[name]) if gradient is None else gradient
        for name, gradient in zip(names, gradients, strict=True)
    }
    return Adjoints(
        layers=[
            LayerState(
                features=caught[f"in{i}"].detach(),
                basis=caught[f"A{i}"].detach(),
                basis_adjoint=adjoint[f"A{i}"],
                product_adjoint=adjoint[f"B{i}"],
                out=caught[f"h{i}"].detach(),
            )
            for i in range(n_layers)
        ],
        readouts=[adjoint[f"readout{i}"] for i in range(len(network.readouts))],
        pair=adjoint.get("pair"),
    )


@contextmanager
def _listening(network: Any, caught: dict[str, torch.Tensor]) -> Iterator[None]:
    """Catch what MACE's modules compute while the context lasts."""

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: Any, _args: Any, out: Any) -> None:
            caught[name] = out

        return hook

    def keep_interaction(i: int) -> Callable[..., None]:
        def hook(_module: Any, _args: Any, kwargs: dict[str, Any], out: Any) -> None:
            caught[f"in{i}"], caught[f"A{i}"] = kwargs["node_feats"], out[0]

        return hook

    handles = []
    for i, (interaction, product) in enumerate(
        zip(network.interactions, network.products, strict=True)
    ):
        handles += [
            interaction.register_forward_hook(keep_interaction(i), with_kwargs=True),
            product.symmetric_contractions.register_forward_hook(keep(f"B{i}")),
            product.register_forward_hook(keep(f"h{i}")),
        ]
    for i, readout in enumerate(network.readouts):
        handles.append(readout.register_forward_hook(keep(f"readout{i}")))
    if hasattr(network, "pair_repulsion_fn"):
        handles.append(network.pair_repulsion_fn.register_forward_hook(keep("pair")))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
