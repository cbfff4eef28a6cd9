"""Sampled checks of force constants against the model's own second derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forcebase.models.hessian_rows import ForceGraph
from forcebase.models.mace_hessian.graph import Graph, Indices
from forcebase.models.mace_hessian.hessian import TakenApart
from forcebase.physics.block_matrix import BlockMatrix
from forcebase.physics.irreducible_atoms import SupercellSymmetry

WHOLE_UP_TO = 1500
"""Atoms; of a larger structure, the model runs on all that a row depends on, and one hop more."""


@dataclass(frozen=True)
class RowCheck:
    """How far force constants are from rows computed by two backward passes in float64.

    Attributes:
        rows: (atom of the unit cell, axis) of the rows that were compared in full.
        row_error: largest deviation of a number in them, eV/angstrom^2.
        probe_error: largest deviation of H v, v random signs, eV/angstrom^2: every number of
            the matrix is in it, so that no wrong one stays hidden. None in large structures.
    """

    rows: list[tuple[int, int]]
    row_error: float
    probe_error: float | None

    def within(self, tolerance: float) -> bool:
        """Whether all is well."""
        return self.row_error <= tolerance and (self.probe_error or 0.0) <= tolerance

    def failure(self, tolerance: float) -> str:
        """Say what is wrong."""
        worst = np.max([self.row_error, self.probe_error or 0.0])
        return (
            f"sampled rows are off by {worst:.1e} eV/angstrom^2, "
            f"with a tolerance of {tolerance:.1e}"
        )


def check_rows(
    parts: TakenApart,
    graph: Graph,
    symmetry: SupercellSymmetry,
    compact: BlockMatrix,
    n_rows: int,
    seed: int = 0,
) -> RowCheck:
    """Compare `n_rows` random rows in full and, in structures that allow it, all by a probe.

    Args:
        parts: the model.
        graph: of the supercell.
        symmetry: of the supercell.
        compact: (n_unit, n_supercell) blocks.
        n_rows: rows to compare in full.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    rows = [(int(rng.integers(compact.shape[0])), int(rng.integers(3))) for _ in range(n_rows)]
    whole = ForceGraph(parts.network, graph) if graph.n_atoms <= WHOLE_UP_TO else None
    errors = [0.0]
    for unit_atom, axis in rows:
        atom = int(symmetry.unit_to_supercell[unit_atom])
        if whole is not None:
            expected = whole.row(atom, axis)
        else:
            expected = _row_of_cut_out(parts, graph, atom, axis)
        difference = compact.row(unit_atom, axis) - expected
        errors.append(float(np.abs(difference).max()))
    row_error = float(np.max(errors))  # NaN where there is one
    if whole is None:
        return RowCheck(rows, row_error, None)
    signs = rng.choice([-1.0, 1.0], size=(graph.n_atoms, 3))
    expected = whole.product(signs)[symmetry.unit_to_supercell]
    found = (compact.sparse() @ signs.ravel()).reshape(-1, 3)
    return RowCheck(rows, row_error, float(np.abs(found - expected).max()))


def _row_of_cut_out(parts: TakenApart, graph: Graph, atom: int, axis: int) -> NDArray[np.float64]:
    center: Indices = np.array([atom])
    counted = graph.neighborhood(center, parts.hops + 1)
    receivers = graph.neighborhood(counted, parts.hops)
    nodes = graph.neighborhood(receivers, 1)
    cut = graph.cut_out(nodes, receivers)
    forces = ForceGraph(parts.network, cut, np.searchsorted(nodes, counted))
    row = np.zeros((graph.n_atoms, 3))
    row[nodes] = forces.row(int(np.searchsorted(nodes, atom)), axis)
    return row
