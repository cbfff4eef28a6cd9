"""Eigenvalues of Hermitian matrices by LAPACK's MRRR, outside Python's lock.

scipy calls the same routines (zheevr, dsyevr; Dhillon, Parlett and Voemel, ACM Trans. Math. Softw.
32, 533 (2006)) but holds the lock meanwhile, so that threads wait for each other. Here they are
called through the pointers that scipy offers to compiled code.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cython_lapack


def eigh(
    matrix: NDArray, *, with_vectors: bool = True
) -> tuple[NDArray[np.float64], NDArray | None]:
    """Diagonalise a Hermitian matrix; threads may do so at the same time.

    Args:
        matrix: (n, n) real or complex; its lower triangle is read. It is left as it is.
        with_vectors: give eigenvectors too.

    Returns:
        (n,) eigenvalues, rising, and (n, n) eigenvectors as columns or None.

    Raises:
        LinAlgError: LAPACK found no convergence, or the matrix holds NaN.
    """
    is_complex = np.iscomplexobj(matrix)
    dtype = np.complex128 if is_complex else np.float64
    work_matrix = np.array(matrix, dtype=dtype, order="F")
    if not np.isfinite(work_matrix).all():
        raise LinAlgError("the matrix holds NaN or infinity")
    n = len(work_matrix)
    values = np.empty(n)
    vectors = np.empty((n, n) if with_vectors else (1, 1), dtype=dtype, order="F")
    arguments = _Arguments(work_matrix, values, vectors, with_vectors)
    sizes = arguments.call([np.empty(1, dtype), *([np.empty(1)] if is_complex else [])], query=True)
    arguments.call([np.empty(size, t) for size, t in zip(sizes, (dtype, float), strict=False)])
    return values, vectors if with_vectors else None


class _Arguments:
    """One diagonalisation: its arrays, and the workspace size that LAPACK asks for."""

    def __init__(
        self, matrix: NDArray, values: NDArray, vectors: NDArray, with_vectors: bool
    ) -> None:
        self.matrix, self.values, self.vectors = matrix, values, vectors
        self.job = b"V" if with_vectors else b"N"
        self.support = np.empty(2 * max(1, len(matrix)), dtype=np.int32)
        self.integers = np.empty(1, dtype=np.int32)

    def call(self, workspaces: list[NDArray], *, query: bool = False) -> list[int]:
        """Run the routine, or ask it for the sizes of its workspaces, which are given back."""
        n = len(self.matrix)
        sizes = [-1 if query else len(space) for space in workspaces]
        integer_size = -1 if query else len(self.integers)
        found, info = ctypes.c_int(0), ctypes.c_int(0)
        zero, no_index = ctypes.c_double(0.0), ctypes.c_int(0)
        order, leading = ctypes.c_int(n), ctypes.c_int(len(self.vectors))
        passed: list[Any] = [self.job, b"A", b"L", order, self.matrix, order, zero, zero]
        passed += [no_index, no_index, zero, found, self.values, self.vectors, leading]
        passed += [self.support]
        for space, size in zip(workspaces, sizes, strict=True):
            passed += [space, ctypes.c_int(size)]
        passed += [self.integers, ctypes.c_int(integer_size), info]
        _routine(np.iscomplexobj(self.matrix))(*[_pointer(value) for value in passed])
        if info.value:
            raise LinAlgError(f"LAPACK's eigenvalue routine stopped with info {info.value}")
        if not query:
            return []
        self.integers = np.empty(int(self.integers[0]), dtype=np.int32)
        return [int(space[0].real) for space in workspaces]


def _pointer(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return value if isinstance(value, bytes) else ctypes.byref(value)


@cache
def _routine(is_complex: bool) -> Any:
    """zheevr or dsyevr as a foreign function; ctypes lets the lock go while it runs."""
    capsule = cython_lapack.__pyx_capi__["zheevr" if is_complex else "dsyevr"]
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None)(address_of(capsule, name_of(capsule)))
