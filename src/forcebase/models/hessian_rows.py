"""Rows of a Hessian by two backward passes through the model's own code: slow, and beyond doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from forcebase.models.mace_hessian.graph import Graph, Indices

if TYPE_CHECKING:
    import torch


class ForceGraph:
    """The forces of a structure, ready to be differentiated; holds memory while it lives."""

    def __init__(self, network: Any, graph: Graph, counted: Indices | None = None) -> None:
        """Run the model; E is the sum of the `counted` atoms' energies, by default of all."""
        import torch

        batch = graph.fresh_batch()
        energies = network(batch, compute_force=False)["node_energy"]
        if counted is not None:
            energies = energies[torch.as_tensor(counted, device=energies.device)]
        self._positions: torch.Tensor = batch["positions"]
        (self._gradient,) = torch.autograd.grad(energies.sum(), self._positions, create_graph=True)

    def product(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give H v, eV/angstrom^2 times the unit of v: both (n_atoms, 3)."""
        import torch

        weights = torch.as_tensor(vector).to(self._gradient)
        (found,) = torch.autograd.grad(self._gradient, self._positions, weights, retain_graph=True)
        return np.asarray(found.cpu().numpy())

    def row(self, atom: int, axis: int) -> NDArray[np.float64]:
        """Give d2E / d(atom, axis) dx: (n_atoms, 3) eV/angstrom^2."""
        unit = np.zeros(self._positions.shape)
        unit[atom, axis] = 1
        return self.product(unit)
