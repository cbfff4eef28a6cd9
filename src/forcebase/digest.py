"""Content digests: what a record says is what it is called.

A digest is SHA-256 over canonical JSON: sorted keys, floats by their shortest
exact form, -0.0 as 0.0, arrays by dtype, shape and little-endian bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from forcebase.errors import InputError

GRID = 1e-8  # fractional and angstrom; text formats keep 8 decimals
GRID_OFFSET = 0.381966  # keeps decimal input away from the edges of the grid's bins


def content_digest(content: Any) -> str:
    """Name `content` (JSON-like, may hold arrays) by its SHA-256, 64 hex digits."""
    return hashlib.sha256(canonical_text(content).encode()).hexdigest()


def canonical_text(content: Any) -> str:
    """The canonical JSON that a content's digest is the digest of."""
    return _text(_canonical(content))


def _text(canonical: Any) -> str:
    return json.dumps(canonical, sort_keys=True, separators=(",", ":"), allow_nan=False)


def bytes_digest(data: bytes) -> str:
    """SHA-256 of raw bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def merkle_root(leaves: Iterable[str]) -> str:
    """Root over sorted leaf digests; the order in which members came does not matter."""
    level = sorted(leaves)
    if not level:
        return bytes_digest(b"")
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [bytes_digest("".join(pair).encode()) for pair in pairs]
    return level[0]


def structure_digest(
    numbers: ArrayLike, cell: ArrayLike, positions: ArrayLike, pbc: ArrayLike
) -> str:
    """Name a periodic structure by its geometry.

    Invariant under lattice translations of single atoms along periodic axes and under
    rounding noise; sensitive to species, order of atoms, cell, positions (1e-8) and pbc.

    Args:
        numbers: (n,) atomic numbers.
        cell: (3, 3) lattice vectors as rows, angstrom.
        positions: (n, 3) Cartesian, angstrom.
        pbc: (3,) booleans.

    Raises:
        InputError: the cell has no volume, or a number is not finite.
    """
    lattices = np.asarray(cell, dtype=float).reshape(1, 3, 3)
    cartesian = np.asarray(positions, dtype=float).reshape(1, -1, 3)
    return structure_digests(np.atleast_2d(numbers), lattices, cartesian, np.atleast_2d(pbc))[0]


def structure_digests(
    numbers: ArrayLike, cells: ArrayLike, positions: ArrayLike, pbc: ArrayLike
) -> list[str]:
    """Name many structures of equally many atoms, as `structure_digest` names each.

    Args:
        numbers: (m, n) atomic numbers.
        cells: (m, 3, 3) lattice vectors as rows, angstrom.
        positions: (m, n, 3) Cartesian, angstrom.
        pbc: (m, 3) booleans.

    Raises:
        InputError: a cell has no volume, or a number is not finite.
    """
    lattices, cartesian = np.asarray(cells, dtype=float), np.asarray(positions, dtype=float)
    _check_geometry(lattices, cartesian)
    fractional = np.linalg.solve(lattices.mT, cartesian.mT).mT
    periodic = np.asarray(pbc, dtype=bool)
    sites = _on_grid(fractional)
    sites = np.where(periodic[:, None, :], sites % round(1 / GRID), sites)
    rows = (np.asarray(numbers, dtype=int), _on_grid(lattices), sites, periodic)
    names = ("numbers", "cell", "sites", "pbc")
    columns = [column.tolist() for column in rows]  # plain already: nothing to make canonical
    return [
        bytes_digest(_text(dict(zip(names, row, strict=True))).encode())
        for row in zip(*columns, strict=True)
    ]


def _check_geometry(lattices: np.ndarray, cartesian: np.ndarray) -> None:
    if not (np.isfinite(lattices).all() and np.isfinite(cartesian).all()):
        raise InputError(
            "The cell or a position is not a finite number.",
            hint="Look for NaN or infinity in the file.",
        )
    flat = np.linalg.matrix_rank(lattices) < 3
    if flat.any():
        raise InputError(
            "The cell has no volume.",
            hint="Give three independent lattice vectors; molecules and layers need vacuum.",
            cell=lattices[flat][0].tolist(),
        )


def _on_grid(values: np.ndarray) -> np.ndarray:
    return np.floor(values / GRID + GRID_OFFSET).astype(np.int64)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _canonical_array(value)
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) + 0.0
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _canonical_array(array: np.ndarray) -> dict[str, Any]:
    if array.dtype.kind not in "iubf":
        raise TypeError(f"An array of {array.dtype} has no canonical form")
    kind = "<i8" if array.dtype.kind in "iub" else "<f8"
    data = np.ascontiguousarray(array, dtype=kind)
    if kind == "<f8":
        data = data + 0.0
    return {"dtype": kind, "shape": list(array.shape), "sha256": bytes_digest(data.tobytes())}
