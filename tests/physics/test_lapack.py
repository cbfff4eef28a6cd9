from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.linalg import LinAlgError

from forcebase.physics.lapack import eigh


def hermitian(n, is_complex, seed=0):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n, n)) + 1j * is_complex * random.normal(size=(n, n))
    matrix = matrix + matrix.conj().T
    return matrix if is_complex else matrix.real


@pytest.mark.parametrize("is_complex", [True, False])
@pytest.mark.parametrize("n", [1, 2, 33, 150])
def test_it_finds_what_numpy_finds(n, is_complex):
    matrix = hermitian(n, is_complex)
    before = matrix.copy()
    values, vectors = eigh(matrix)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), atol=1e-11 * n)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-11 * n)
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(n), atol=1e-11 * n)
    np.testing.assert_array_equal(matrix, before)
    alone, nothing = eigh(matrix, with_vectors=False)
    np.testing.assert_allclose(alone, values, atol=1e-11 * n)
    assert nothing is None


def test_threads_do_not_disturb_each_other():
    matrices = [hermitian(60, True, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda matrix: eigh(matrix)[0], matrices))
    for matrix, values in zip(matrices, found, strict=True):
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), atol=1e-9)


def test_a_matrix_of_no_numbers_is_refused():
    with pytest.raises(LinAlgError, match="NaN"):
        eigh(np.full((3, 3), np.nan))
