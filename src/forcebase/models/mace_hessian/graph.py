"""A structure as the graph that MACE reads, and cut-outs of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.models.boundaries import close_boundaries
from forcebase.models.mace_calculator import LoadedModel

if TYPE_CHECKING:
    import torch

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Graph:
    """Atoms and the edges between them; an edge carries a message from sender to receiver.

    Attributes:
        batch: what MACE's forward takes, one structure; edges sorted by their receiver.
        senders, receivers: (n_edges,) atom indices; an image of an atom is that atom.
        first_edges: (n_atoms + 1,) the edges into atom i are first_edges[i]:first_edges[i + 1].
        atoms: (n_atoms,) index of each atom in the structure that this was cut from.
    """

    batch: dict[str, torch.Tensor]
    senders: Indices
    receivers: Indices
    first_edges: Indices
    atoms: Indices

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    def edges_into(self, nodes: Indices) -> Indices:
        """Indices of all edges into `nodes`, node by node."""
        return np.concatenate(
            [np.arange(self.first_edges[i], self.first_edges[i + 1]) for i in nodes]
            or [np.empty(0, dtype=np.int64)]
        )

    def senders_to(self, node: int) -> Indices:
        """Senders of all edges into one atom."""
        return self.senders[self.first_edges[node] : self.first_edges[node + 1]]

    def neighborhood(self, nodes: Indices, hops: int) -> Indices:
        """Sorted indices of `nodes` and all that reach them in so many messages."""
        found = np.unique(nodes)
        for _ in range(hops):
            found = np.union1d(found, self.senders[self.edges_into(found)])
        return found

    def cut_out(self, nodes: Indices, receivers: Indices) -> Graph:
        """Keep `nodes` (sorted), and the edges into `receivers`, whose senders must be kept."""
        if len(nodes) == self.n_atoms and len(receivers) == self.n_atoms:
            return self
        import torch

        edges = self.edges_into(receivers)
        order = torch.as_tensor(edges, device=self.batch["edge_index"].device)
        kept = torch.as_tensor(nodes, device=order.device)
        senders = np.searchsorted(nodes, self.senders[edges])
        receivers = np.searchsorted(nodes, self.receivers[edges])
        batch = {
            **self.batch,
            **{key: self.batch[key][kept] for key in ("positions", "node_attrs", "batch")},
            **{key: self.batch[key][order] for key in ("shifts", "unit_shifts")},
            "edge_index": torch.as_tensor(np.stack([senders, receivers]), device=order.device),
            "ptr": torch.tensor([0, len(nodes)], device=order.device),
        }
        return replace(
            self,
            batch=batch,
            senders=senders,
            receivers=receivers,
            first_edges=np.searchsorted(receivers, np.arange(len(nodes) + 1)),
            atoms=self.atoms[nodes],
        )

    def fresh_batch(self) -> dict[str, Any]:
        """Give the batch with positions of their own, for a derivative with respect to them."""
        return {**self.batch, "positions": self.batch["positions"].detach().clone()}


def build_graph(atoms: Atoms, model: LoadedModel) -> Graph:
    """Find the neighbours of all atoms, in float64 on the model's device.

    Raises:
        ModelError: an element that the model does not know, or a direction that is not periodic
            with less vacuum than its cutoff.
    """
    import torch
    from mace import data
    from mace.tools import torch_geometric, torch_tools
    from mace.tools.utils import AtomicNumberTable

    model.require(atoms.numbers)
    torch_tools.set_default_dtype("float64")
    heads = getattr(model.network, "heads", None) or ["Default"]
    configuration = data.config_from_atoms(
        close_boundaries(atoms, model.r_max), head_name=model.head or heads[-1]
    )
    single = data.AtomicData.from_config(
        configuration,
        z_table=AtomicNumberTable(list(model.numbers)),
        cutoff=model.r_max,
        heads=heads,
    )
    loader = torch_geometric.dataloader.DataLoader([single], batch_size=1, shuffle=False)
    found = next(iter(loader)).to_dict()
    order = torch.argsort(found["edge_index"][1], stable=True)
    wanted = ("positions", "node_attrs", "batch", "ptr", "cell", "head")
    batch = {key: found[key].to(model.device) for key in wanted if key in found}
    for key in ("shifts", "unit_shifts"):
        batch[key] = found[key][order].to(model.device)
    batch["edge_index"] = found["edge_index"][:, order].to(model.device)
    senders, receivers = batch["edge_index"].cpu().numpy()
    return Graph(
        batch=batch,
        senders=senders,
        receivers=receivers,
        first_edges=np.searchsorted(receivers, np.arange(len(atoms) + 1)),
        atoms=np.arange(len(atoms)),
    )
