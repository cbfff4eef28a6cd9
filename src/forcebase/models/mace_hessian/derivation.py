"""Analytic force constants of a supercell: symmetry, graph, terms, and the check of the result."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.models.boundaries import close_boundaries
from forcebase.models.mace_hessian.assembly import assemble
from forcebase.models.mace_hessian.check import RowCheck, check_rows
from forcebase.models.mace_hessian.graph import build_graph
from forcebase.models.mace_hessian.hessian import take_apart
from forcebase.physics.block_matrix import BlockMatrix
from forcebase.physics.irreducible_atoms import (
    SYMMETRY_TOLERANCE,
    SupercellSymmetry,
    supercell_symmetry,
)

SINGLE_PRECISION_FROM = 2e-5
"""eV/angstrom^2; float32 matrix products were measured to be 4e-6 off for constants of 25."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be differentiated, and how well; see `compute_force_constants`."""

    model: Any
    """A `Potential`; what is to be taken apart is a `LoadedModel`."""
    atoms: Atoms
    matrix: NDArray[np.int64]
    tolerance: float
    n_checked_rows: int
    on_progress: Progress


@dataclass(frozen=True, eq=False)
class Derivation:
    """Analytic force constants, good or not.

    Attributes:
        symmetry: of the supercell, with the structure that they belong to.
        compact: (n_unit, n_supercell) blocks, eV/angstrom^2.
        precision: of the matrix products, float64 or float32.
        check: against the model's own second derivatives.
        failure: what the check found wrong; None if nothing.
        seconds: of each stage.
    """

    symmetry: SupercellSymmetry
    compact: BlockMatrix
    precision: str
    check: RowCheck
    failure: str | None
    seconds: dict[str, float]


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Count what has passed since the last stop as time of `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def derive(asked: Request) -> Derivation:
    """Differentiate, in float32 first where the tolerance allows it and the check agrees."""
    import torch

    watch = Stopwatch()
    closed = close_boundaries(asked.atoms, asked.model.r_max)
    symmetry = supercell_symmetry(closed, asked.matrix, SYMMETRY_TOLERANCE)
    watch.stop("symmetry")
    network = asked.model.network
    if asked.model.dtype != "float64":
        network = copy.deepcopy(network).double()
    graph = build_graph(symmetry.supercell, asked.model)
    parts = take_apart(network, graph)
    watch.stop("graph")
    single = [torch.float32] if asked.tolerance >= SINGLE_PRECISION_FROM else []
    for dtype in (*single, torch.float64):
        compact = assemble(parts, graph, symmetry, dtype, asked.on_progress)
        watch.stop("terms")
        check = check_rows(parts, graph, symmetry, compact, asked.n_checked_rows)
        watch.stop("check")
        if check.within(asked.tolerance):
            break
    return Derivation(
        symmetry=symmetry,
        compact=compact,
        precision=str(dtype).removeprefix("torch."),
        check=check,
        failure=None if check.within(asked.tolerance) else check.failure(asked.tolerance),
        seconds=watch.seconds,
    )


@contextmanager
def torch_settings(threads: int | None) -> Iterator[None]:
    """Leave torch's threads and default dtype as they were found."""
    import torch

    before, dtype = torch.get_num_threads(), torch.get_default_dtype()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_default_dtype(dtype)
