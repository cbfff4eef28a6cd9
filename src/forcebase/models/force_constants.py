"""Force constants with a model: exact where its structure is known, else by displacements."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from forcebase.errors import InputError, ModelError
from forcebase.frames import Frames
from forcebase.models.evaluation import evaluate
from forcebase.models.mace_calculator import LoadedModel
from forcebase.models.mace_hessian.check import RowCheck
from forcebase.models.mace_hessian.derivation import (
    Derivation,
    Progress,
    Request,
    Stopwatch,
    derive,
    torch_settings,
)
from forcebase.models.mace_hessian.support import obstacle
from forcebase.models.potential import Potential
from forcebase.physics.finite_displacement import (
    DEFAULT_DISTANCE,
    displacements,
    harmonic_crystal,
    supercell_matrix_of,
    unit_cell_masses,
)
from forcebase.physics.harmonic_crystal import HarmonicCrystal, sum_rule_error, symmetry_error
from forcebase.physics.harmonic_crystal import symmetrize as impose_symmetry

if TYPE_CHECKING:
    from scipy.sparse import bsr_array

EXACT = 1e-8
"""eV/angstrom^2; rounding in float64 stays far below."""


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
    model: Potential,
    atoms: Atoms,
    supercell_matrix: ArrayLike,
    *,
    tolerance: float = EXACT,
    method: Method | str = Method.AUTO,
    displacement: float = DEFAULT_DISTANCE,
    symmetrize: bool = True,
    n_checked_rows: int = 1,
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
    asked = Request(
        model=model,
        atoms=atoms,
        matrix=supercell_matrix_of(supercell_matrix),
        tolerance=_positive(tolerance),
        n_checked_rows=n_checked_rows,
        on_progress=on_progress,
    )
    method = Method(method)
    model.require(atoms.numbers)
    with torch_settings(threads):
        if method is Method.DISPLACEMENTS:
            return _displaced(asked, displacement, symmetrize, None)
        if not isinstance(model, LoadedModel):
            reason: str | None = "the model is not a MACE"
        else:
            reason = obstacle(model.network)
        if reason is None:
            derived = derive(asked)
            reason = derived.failure
            if reason is None:
                return _analytic(derived, asked, symmetrize)
        if method is Method.ANALYTIC:
            raise ModelError(
                f"Analytic force constants are not possible: {reason}.",
                hint="Take the method `displacements`.",
            )
        return _displaced(asked, displacement, symmetrize, reason)


def sparse_force_constants(
    model: LoadedModel,
    atoms: Atoms,
    supercell_matrix: ArrayLike = (1, 1, 1),
    *,
    tolerance: float = EXACT,
    n_checked_rows: int = 1,
    threads: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> SparseForceConstants:
    """Differentiate a model's energy twice, for a structure too large for a dense matrix.

    The arguments are those of `compute_force_constants`; memory grows with the number of atoms.

    Raises:
        ModelError: also for a model that does not allow the analytic method.
        InputError: as there.
    """
    asked = Request(
        model=model,
        atoms=atoms,
        matrix=supercell_matrix_of(supercell_matrix),
        tolerance=_positive(tolerance),
        n_checked_rows=n_checked_rows,
        on_progress=on_progress,
    )
    model.require(atoms.numbers)
    reason = obstacle(model.network)
    if reason is None:
        with torch_settings(threads):
            derived = derive(asked)
        reason = derived.failure
    if reason is not None:
        raise ModelError(
            f"Sparse force constants are not possible: {reason}.",
            hint="Take a smaller supercell and `compute_force_constants` by displacements.",
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


def _analytic(derived: Derivation, asked: Request, symmetrize: bool) -> ForceConstants:
    watch = Stopwatch()
    symmetry = derived.symmetry
    crystal = HarmonicCrystal(
        numbers=np.asarray(asked.atoms.numbers, dtype=np.int64),
        cell=symmetry.unit_cell.cell.array,
        positions=symmetry.unit_cell.positions,
        masses=unit_cell_masses(asked.atoms),
        supercell_matrix=symmetry.supercell_matrix,
        primitive_matrix=np.eye(3),
        force_constants=derived.compact.dense(),
    )
    errors = sum_rule_error(crystal), symmetry_error(crystal)
    if symmetrize:
        crystal = impose_symmetry(crystal)
    watch.stop("symmetrization")
    return ForceConstants(
        crystal=crystal,
        method=Method.ANALYTIC,
        reason=None,
        tolerance=asked.tolerance,
        precision=derived.precision,
        check=derived.check,
        n_centers=len(symmetry.irreducible),
        n_displacements=0,
        moved=symmetry.moved,
        sum_rule_error=errors[0],
        symmetry_error=errors[1],
        seconds={**derived.seconds, **watch.seconds},
    )


def _displaced(
    asked: Request, displacement: float, symmetrize: bool, reason: str | None
) -> ForceConstants:
    watch = Stopwatch()
    displaced = displacements(asked.atoms, asked.matrix, displacement)
    watch.stop("symmetry")
    cells = [displaced.supercell, *displaced.supercells]
    frames = Frames.from_atoms(cells, ids=[str(i) for i in range(len(cells))])
    found = evaluate(frames, asked.model, asked.on_progress).frames
    forces = found.forces.reshape(len(cells), len(displaced.supercell), 3)
    watch.stop("forces")
    crystal = harmonic_crystal(displaced, forces[1:], forces[0], symmetrize=False)
    watch.stop("solution")
    errors = sum_rule_error(crystal), symmetry_error(crystal)
    if symmetrize:
        crystal = impose_symmetry(crystal)
    watch.stop("symmetrization")
    return ForceConstants(
        crystal=crystal,
        method=Method.DISPLACEMENTS,
        reason=reason,
        tolerance=asked.tolerance,
        precision=asked.model.dtype,
        check=None,
        n_centers=0,
        n_displacements=len(displaced.supercells),
        moved=0.0,
        sum_rule_error=errors[0],
        symmetry_error=errors[1],
        seconds=watch.seconds,
    )


def _positive(tolerance: float) -> float:
    if not tolerance > 0:
        raise InputError(
            f"A tolerance of {tolerance} eV/angstrom^2 is not positive.",
            hint="Give 1e-8 for exact force constants, 1e-4 for fast ones.",
        )
    return tolerance
