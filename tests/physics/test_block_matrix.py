from __future__ import annotations

import numpy as np
import pytest

from forcebase.physics.block_matrix import BlockMatrix


@pytest.fixture
def doubled() -> BlockMatrix:
    """Five blocks in four places of a 3 x 4 matrix."""
    rng = np.random.default_rng(1)
    return BlockMatrix(
        (3, 4),
        rows=np.array([2, 0, 2, 0, 1]),
        columns=np.array([1, 3, 1, 0, 2]),
        blocks=rng.normal(size=(5, 3, 3)),
    )


def test_blocks_in_one_place_add_up(doubled) -> None:
    dense = doubled.dense()
    np.testing.assert_allclose(dense[2, 1], doubled.blocks[0] + doubled.blocks[2])
    summed = doubled.summed()
    assert summed.rows.tolist() == [0, 0, 1, 2]
    assert summed.columns.tolist() == [0, 3, 2, 1]
    np.testing.assert_allclose(summed.dense(), dense)


def test_sparse_and_rows_equal_dense(doubled) -> None:
    flat = doubled.dense().transpose(0, 2, 1, 3).reshape(9, 12)
    np.testing.assert_allclose(doubled.sparse().toarray(), flat)
    np.testing.assert_allclose(doubled.row(2, 1).ravel(), flat[7])


def test_plus_and_empty(doubled) -> None:
    np.testing.assert_allclose(doubled.plus(doubled, doubled).dense(), 3 * doubled.dense())
    none = np.empty(0, dtype=np.int64)
    empty = BlockMatrix((3, 4), none, none, np.empty((0, 3, 3)))
    assert not empty.summed().dense().any()
    assert empty.sparse().nnz == 0
    np.testing.assert_allclose(empty.plus(doubled).dense(), doubled.dense())
