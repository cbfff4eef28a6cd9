"""Force constants with a model: exact where its structure is known, else by displacements."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from forcebase.errors import InputError, ModelError
from forcebase.frames import Frames
from forcebase.models.boundaries import close_boundaries
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import LoadedModel
from forcebase.models.mace_hessian.assembly import assemble
from forcebase.models.mace_hessian.check import RowCheck, check_rows
from forcebase.models.mace_hessian.graph import build_graph
from forcebase.models.mace_hessian.hessian import take_apart
from forcebase.models.mace_hessian.support import obstacle
from forcebase.physics.block_matrix import BlockMatrix
from forcebase.physics.finite_displacement import (
    DEFAULT_DISTANCE,
    displacements,
    harmonic_crystal,
    supercell_matrix_of,
    unit_cell_masses,
)
from forcebase.physics.harmonic_crystal import HarmonicCrystal, sum_rule_error, symmetry_error
from forcebase.physics.harmonic_crystal import symmetrize as impose_symmetry
from forcebase.physics.irreducible_atoms import (
    SYMMETRY_TOLERANCE,
    SupercellSymmetry,
    supercell_symmetry,
)

if TYPE_CHECKING:
    from scipy.sparse import bsr_array

EXACT = 1e-8
"""eV/angstrom^2; rounding in float64 stays far below."""

FAST = 1e-4
"""eV/angstrom^2; less than a displacement of 0.01 angstrom is off, and enough for phonons."""

SINGLE_PRECISION_FROM = 2e-5
"""eV/angstrom^2; float32 matrix products were measured to be 4e-6 off for constants of 25."""

Progress = Callable[[int, int], None]


class Method(StrEnum):
    """How to get force constants."""

    AUTO = "auto"
    """Analytic where the model allows it, else by displacements."""
    ANALYTIC = "analytic"
    DISPLACEMENTS = "displacements"


@dataclass(frozen=True, eq=False)
class ForceConstants:
    """Force constants and how they came about.

    Attributes:
        crystal: with compact force constants, eV/angstrom^2.
        method: ANALYTIC or DISPLACEMENTS.
        reason: why displacements were taken where analytic ones were allowed, else None.
        tolerance: asked for, eV/angstrom^2.
        precision: of the matrix products, float64 or float32.
        check: comparison of sampled rows with the model's own; None for displacements.
        n_centers: atoms whose terms were computed; 0 for displacements.
        n_displacements: displaced supercells; 0 for analytic ones.
        moved: angstrom, the furthest that an atom was moved to make the symmetry exact.
        sum_rule_error: before symmetrization, eV/angstrom^2.
        symmetry_error: of the exchange of indices, before symmetrization, eV/angstrom^2.
        seconds: of each stage.
    """

    crystal: HarmonicCrystal
    method: Method
    reason: str | None
    tolerance: float
    precision: str
    check: RowCheck | None
    n_centers: int
    n_displacements: int
    moved: float
    sum_rule_error: float
    symmetry_error: float
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class SparseForceConstants:
    """Force constants of a large structure.

    Attributes:
        matrix: (3 n, 3 n) eV/angstrom^2, with 3x3 blocks; what is not stored is zero exactly.
        supercell: its n atoms, in order.
        check: comparison of sampled rows with the model's own.
        moved: angstrom, the furthest that an atom was moved to make the symmetry exact.
        seconds: of each stage.
    """

    matrix: bsr_array
    supercell: Atoms
    check: RowCheck
    moved: float
    seconds: dict[str, float]


def compute_force_constants(
    model: LoadedModel,
    atoms: Atoms,
    supercell_matrix: ArrayLike,
    *,
    tolerance: float = EXACT,
    method: Method | str = Method.AUTO,
    displacement: float = DEFAULT_DISTANCE,
    symmetrize: bool = True,
    n_checked_rows: int = 2,
    threads: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ForceConstants:
    """Differentiate a model's energy twice.

    Args:
        model: any; the analytic way is in float64 whatever its dtype is.
        atoms: relaxed unit cell. Its masses count only if set on it. Symmetry is found within
            1e-5 angstrom and made exact.
        supercell_matrix: (3, 3) or (3,) integers, phonopy's convention; 1, 1, 1 for a cell
            with a defect that is itself the supercell.
        tolerance: eV/angstrom^2 that the analytic force constants may be off; from 2e-5 on
            part of the work is done in float32. It is checked on rows computed otherwise.
        method: a `Method`.
        displacement: angstrom, for displacements.
        symmetrize: impose the sum rule and index symmetry.
        n_checked_rows: full rows to compare, beside a random combination of all.
        threads: for torch; None leaves its setting.
        on_progress: told of (steps done, in all).

    Raises:
        ModelError: an element that the model does not know, a direction with too little vacuum,
            or an analytic method asked for that this model does not allow or that fails its check.
        InputError: no supercell matrix, or a tolerance that is not positive.
    """
    matrix = supercell_matrix_of(supercell_matrix)
    method = Method(method)
    _require_positive(tolerance)
    model.require(atoms.numbers)
    reason = None
    with _torch_settings(threads):
        if method is not Method.DISPLACEMENTS:
            reason = obstacle(model.network)
            if reason is None:
                derived = _derive(model, atoms, matrix, tolerance, n_checked_rows, on_progress)
                if derived.check.within(tolerance, len(derived.symmetry.supercell)):
                    return _analytic(derived, atoms, tolerance, symmetrize)
                reason = f"sampled rows are off by {derived.check.row_error:.1e} eV/angstrom^2"
            if method is Method.ANALYTIC:
                raise ModelError(
                    f"Analytic force constants are not possible: {reason}.",
                    hint="Take the method `displacements`.",
                )
        return _displaced(
            model, atoms, matrix, displacement, tolerance, symmetrize, on_progress, reason
        )


def sparse_force_constants(
    model: LoadedModel,
    atoms: Atoms,
    supercell_matrix: ArrayLike = (1, 1, 1),
    *,
    tolerance: float = EXACT,
    n_checked_rows: int = 2,
    threads: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> SparseForceConstants:
    """Differentiate a model's energy twice, for a structure too large for a dense matrix.

    The arguments are those of `compute_force_constants`; memory grows with the number of atoms.

    Raises:
        ModelError: also for a model that does not allow the analytic method.
        InputError: as there.
    """
    matrix = supercell_matrix_of(supercell_matrix)
    _require_positive(tolerance)
    model.require(atoms.numbers)
    reason = obstacle(model.network)
    if reason is not None:
        raise ModelError(
            f"Sparse force constants are not possible: {reason}.",
            hint="Take a smaller supercell and the method `displacements`.",
        )
    with _torch_settings(threads):
        derived = _derive(model, atoms, matrix, tolerance, n_checked_rows, on_progress)
    if not derived.check.within(tolerance, len(derived.symmetry.supercell)):
        raise ModelError(
            f"Sampled rows of the force constants are off by {derived.check.row_error:.1e} "
            f"eV/angstrom^2, more than {tolerance:.1e}.",
            hint="This model has a structure that forcebase does not know: use displacements.",
        )
    started = time.perf_counter()
    full = derived.symmetry.unfold(derived.compact).sparse()
    return SparseForceConstants(
        matrix=full,
        supercell=derived.symmetry.supercell,
        check=derived.check,
        moved=derived.symmetry.moved,
        seconds={**derived.seconds, "unfolding": time.perf_counter() - started},
    )


@dataclass(frozen=True, eq=False)
class _Derived:
    symmetry: SupercellSymmetry
    compact: BlockMatrix
    precision: str
    check: RowCheck
    seconds: dict[str, float]


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


def _derive(
    model: LoadedModel,
    atoms: Atoms,
    matrix: Any,
    tolerance: float,
    n_checked_rows: int,
    on_progress: Progress,
) -> _Derived:
    import torch

    clock = _Clock()
    closed = close_boundaries(atoms, model.r_max)
    symmetry = supercell_symmetry(closed, matrix, SYMMETRY_TOLERANCE)
    clock.stop("symmetry")
    network = model.network
    if model.dtype != "float64":
        network = copy.deepcopy(network).double()
    graph = build_graph(symmetry.supercell, model)
    parts = take_apart(network, graph)
    clock.stop("graph and model")
    single = [torch.float32] if tolerance >= SINGLE_PRECISION_FROM else []
    for dtype in (*single, torch.float64):
        compact = assemble(parts, graph, symmetry, dtype, on_progress)
        clock.stop("terms")
        check = check_rows(network, parts.hops, graph, symmetry, compact, n_checked_rows)
        clock.stop("check")
        if check.within(tolerance, len(symmetry.supercell)):
            break
    return _Derived(symmetry, compact, str(dtype).removeprefix("torch."), check, clock.seconds)


def _analytic(
    derived: _Derived, atoms: Atoms, tolerance: float, symmetrize: bool
) -> ForceConstants:
    clock = _Clock()
    symmetry = derived.symmetry
    crystal = HarmonicCrystal(
        numbers=np.asarray(atoms.numbers, dtype=np.int64),
        cell=symmetry.unit_cell.cell.array,
        positions=symmetry.unit_cell.positions,
        masses=unit_cell_masses(atoms),
        supercell_matrix=symmetry.supercell_matrix,
        primitive_matrix=np.eye(3),
        force_constants=derived.compact.dense(),
    )
    sum_rule, exchange = sum_rule_error(crystal), symmetry_error(crystal)
    clock.stop("errors")
    if symmetrize:
        crystal = impose_symmetry(crystal)
    clock.stop("symmetrization")
    return ForceConstants(
        crystal=crystal,
        method=Method.ANALYTIC,
        reason=None,
        tolerance=tolerance,
        precision=derived.precision,
        check=derived.check,
        n_centers=len(symmetry.irreducible),
        n_displacements=0,
        moved=symmetry.moved,
        sum_rule_error=sum_rule,
        symmetry_error=exchange,
        seconds={**derived.seconds, **clock.seconds},
    )


def _displaced(
    model: LoadedModel,
    atoms: Atoms,
    matrix: Any,
    displacement: float,
    tolerance: float,
    symmetrize: bool,
    on_progress: Progress,
    reason: str | None,
) -> ForceConstants:
    clock = _Clock()
    displaced = displacements(atoms, matrix, displacement)
    clock.stop("symmetry")
    cells = [displaced.supercell, *displaced.supercells]
    frames = Frames.from_atoms(cells, ids=[str(i) for i in range(len(cells))])
    found = evaluate(frames, model, on_progress).frames
    forces = found.forces.reshape(len(cells), len(displaced.supercell), 3)
    clock.stop("forces")
    crystal = harmonic_crystal(displaced, forces[1:], forces[0], symmetrize=False)
    clock.stop("solution")
    sum_rule, exchange = sum_rule_error(crystal), symmetry_error(crystal)
    if symmetrize:
        crystal = impose_symmetry(crystal)
    clock.stop("symmetrization")
    return ForceConstants(
        crystal=crystal,
        method=Method.DISPLACEMENTS,
        reason=reason,
        tolerance=tolerance,
        precision=model.dtype,
        check=None,
        n_centers=0,
        n_displacements=len(displaced.supercells),
        moved=0.0,
        sum_rule_error=sum_rule,
        symmetry_error=exchange,
        seconds=clock.seconds,
    )


def _require_positive(tolerance: float) -> None:
    if not tolerance > 0:
        raise InputError(
            f"A tolerance of {tolerance} eV/angstrom^2 is not positive.",
            hint="Give 1e-8 for exact force constants, 1e-4 for fast ones.",
        )


@contextmanager
def _torch_settings(threads: int | None) -> Iterator[None]:
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
