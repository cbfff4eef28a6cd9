"""Sparse matrices of 3x3 blocks, one block for a pair of atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import bsr_array


@dataclass(frozen=True, eq=False)
class BlockMatrix:
    """Blocks with their places; blocks in the same place add up.

    Attributes:
        shape: in blocks.
        rows, columns: (n,) of each block.
        blocks: (n, 3, 3).
    """

    shape: tuple[int, int]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    blocks: NDArray[np.float64]

    def summed(self) -> BlockMatrix:
        """Add up blocks in the same place: then rows are sorted, and columns in each row."""
        places = self.rows * self.shape[1] + self.columns
        order = np.argsort(places, kind="stable")
        kept, first = np.unique(places[order], return_index=True)
        blocks = np.add.reduceat(self.blocks[order], first) if len(kept) else self.blocks
        return BlockMatrix(self.shape, kept // self.shape[1], kept % self.shape[1], blocks)

    def plus(self, *others: BlockMatrix) -> BlockMatrix:
        """Add matrices of the same shape."""
        matrices = (self, *others)
        return BlockMatrix(
            self.shape,
            np.concatenate([matrix.rows for matrix in matrices]),
            np.concatenate([matrix.columns for matrix in matrices]),
            np.concatenate([matrix.blocks for matrix in matrices]),
        ).summed()

    def row(self, block: int, component: int) -> NDArray[np.float64]:
        """Give one row of the matrix of numbers: (columns, 3)."""
        found = np.zeros((self.shape[1], 3))
        entries = np.flatnonzero(self.rows == block)
        np.add.at(found, self.columns[entries], self.blocks[entries, component])
        return found

    def dense(self) -> NDArray[np.float64]:
        """Give all blocks: shape + (3, 3)."""
        found = np.zeros((*self.shape, 3, 3))
        np.add.at(found, (self.rows, self.columns), self.blocks)
        return found

    def sparse(self) -> bsr_array:
        """Give the matrix of numbers in scipy's block form: (3 rows, 3 columns)."""
        from scipy.sparse import bsr_array

        summed = self.summed()
        pointers = np.searchsorted(summed.rows, np.arange(self.shape[0] + 1))
        return bsr_array(
            (summed.blocks, summed.columns, pointers),
            shape=(3 * self.shape[0], 3 * self.shape[1]),
        )
