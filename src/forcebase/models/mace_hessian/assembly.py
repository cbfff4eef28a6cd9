"""From the terms of irreducible atoms to the force constants of a supercell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from forcebase.models.mace_hessian.graph import Graph, Indices
from forcebase.models.mace_hessian.hessian import NodeShare, TakenApart, node_shares, region
from forcebase.physics.block_matrix import BlockMatrix
from forcebase.physics.irreducible_atoms import SupercellSymmetry

if TYPE_CHECKING:
    import torch

TILE = 50.0
"""angstrom; larger structures are worked off in tiles of this size, to bound the memory."""

BLOCKS_AT_ONCE = 1_000_000
"""Blocks of 3x3 that are collected before they are summed: 90 MB."""


def assemble(
    parts: TakenApart,
    graph: Graph,
    symmetry: SupercellSymmetry,
    dtype: torch.dtype,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> BlockMatrix:
    """Give the compact Hessian: (n_unit, n_supercell) blocks, eV/angstrom^2.

    Args:
        parts: the model.
        graph: of `symmetry.supercell`.
        symmetry: says which atoms are enough.
        dtype: of the matrix products.
        on_progress: told of (atoms done, in all), in units of one layer of one atom.
    """
    centers = symmetry.unit_to_supercell[symmetry.irreducible]
    sizes = dict(zip(centers.tolist(), symmetry.orbit_sizes.tolist(), strict=True))
    total = len(centers) * parts.hops
    collected = _Collection(len(symmetry.supercell))
    done = 0
    for tile in _tiles(symmetry.supercell, centers):
        cut = region(parts, graph, tile)
        for share in node_shares(parts, cut, np.searchsorted(cut.atoms, tile), dtype):
            collected.add(share, sizes[share.center])
            done += 1
            on_progress(done, total)
    return symmetry.sum_over_crystal(collected.total())


def _tiles(atoms: Atoms, centers: Indices) -> Iterator[Indices]:
    """Split atoms into groups of neighbours, each sorted."""
    counts = np.ceil(atoms.cell.lengths() / TILE).astype(int)
    places = (atoms.get_scaled_positions()[centers] * counts).astype(int)
    numbers = np.ravel_multi_index(tuple(np.minimum(places, counts - 1).T), tuple(counts))
    for number in np.unique(numbers):
        yield np.sort(centers[numbers == number])


class _Collection:
    """Sums shares as they come, in batches."""

    def __init__(self, n_atoms: int) -> None:
        empty = np.empty(0, dtype=np.int64)
        self._sum = BlockMatrix((n_atoms, n_atoms), empty, empty, np.empty((0, 3, 3)))
        self._waiting: list[BlockMatrix] = []
        self._n_waiting = 0

    def add(self, share: NodeShare, weight: int) -> None:
        n = len(share.atoms)
        self._waiting.append(
            BlockMatrix(
                shape=self._sum.shape,
                rows=np.repeat(share.atoms, n),
                columns=np.tile(share.atoms, n),
                blocks=weight * share.block.reshape(-1, 3, 3),
            )
        )
        self._n_waiting += n * n
        if self._n_waiting > BLOCKS_AT_ONCE:
            self.total()

    def total(self) -> BlockMatrix:
        self._sum = self._sum.plus(*self._waiting)
        self._waiting, self._n_waiting = [], 0
        return self._sum
