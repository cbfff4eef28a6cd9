"""Force constants of two crystals, pair by pair, against the distance of the pair."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.physics.harmonic_crystal import HarmonicCrystal

Array = NDArray[np.float64]

BIN_WIDTH = 1.0
"""angstrom; about the spread of a shell of neighbours."""

ON_SITE = 0.1
"""angstrom; pairs that are nearer are an atom with itself, in a bin of their own."""


@dataclass(frozen=True)
class DistanceBin:
    """Errors of the force constants of pairs about as far apart.

    Attributes:
        distance: mean distance of the pairs, angstrom; 0 for an atom with itself.
        n_pairs: ordered pairs of one atom of the primitive cell with any.
        mae: mean absolute error of the components, eV/angstrom^2.
        rmse: root mean square error of the components, eV/angstrom^2.
        frobenius: mean Frobenius norm of the difference of the 3x3 blocks, eV/angstrom^2.
        size: mean Frobenius norm of the reference's blocks, eV/angstrom^2.
    """

    distance: float
    n_pairs: int
    mae: float
    rmse: float
    frobenius: float
    size: float


@dataclass(frozen=True, eq=False)
class ForceConstantErrors:
    """How far apart the force constants of two crystals are.

    Attributes:
        mae: mean absolute error of all components, eV/angstrom^2.
        rmse: root mean square error of all components, eV/angstrom^2.
        relative: Frobenius norm of the difference over that of the reference.
        n_pairs: pairs that both have.
        n_left_out: pairs that only one of the two has, for its supercell is larger.
        by_distance: near pairs first.
    """

    mae: float
    rmse: float
    relative: float
    n_pairs: int
    n_left_out: int
    by_distance: tuple[DistanceBin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Metrics for a record, units in the names."""
        return {
            "mae_eV_per_A2": self.mae,
            "rmse_eV_per_A2": self.rmse,
            "relative": self.relative,
            "n_pairs": self.n_pairs,
            "n_left_out": self.n_left_out,
            "by_distance": [asdict(row) for row in self.by_distance],
        }


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Force constants of each pair, its periodic images apart.

    `keys` (n, 5): atom, other atom, and the lattice vector between their cells.
    """

    keys: NDArray[np.int64]
    vectors: Array
    blocks: Array


def compare_force_constants(
    crystal: HarmonicCrystal, reference: HarmonicCrystal
) -> ForceConstantErrors:
    """Compare force constants with others, of two crystals in one primitive setting.

    A pair whose nearest images are several has its force constants shared out among them, as
    phonopy does for bands. Distances are the reference's, for both, so that a small strain does
    not change which images are nearest. Where the supercells differ, pairs are compared that both
    have; the force constants of a pair are still sums over its images further away.

    Raises:
        InputError: the unit cells are not primitive ones in the same order of atoms.
    """
    if not np.array_equal(crystal.numbers, reference.numbers):
        raise InputError(
            "The two crystals are not in one setting.",
            hint="Give what `in_setting_of` makes.",
        )
    placed = replace(crystal, cell=reference.cell, positions=reference.positions)
    ours, theirs = _pairs(placed), _pairs(reference)
    mine, yours = _common(ours.keys, theirs.keys)
    differences = ours.blocks[mine] - theirs.blocks[yours]
    references = theirs.blocks[yours]
    return ForceConstantErrors(
        mae=float(np.abs(differences).mean()),
        rmse=float(np.sqrt((differences**2).mean())),
        relative=float(np.linalg.norm(differences) / np.linalg.norm(references)),
        n_pairs=len(mine),
        n_left_out=len(ours.keys) + len(theirs.keys) - 2 * len(mine),
        by_distance=_by_distance(theirs.vectors[yours], differences, references),
    )


def _pairs(crystal: HarmonicCrystal) -> _Pairs:
    primitive, supercell = crystal.phonopy.primitive, crystal.phonopy.supercell
    vectors, multiplicities = primitive.get_smallest_vectors()  # (m, 3), (n_supercell, n, 2)
    counts = multiplicities[:, :, 0].T.ravel()
    starts = multiplicities[:, :, 1].T.ravel()
    n, n_supercell = len(primitive), len(supercell)
    row = np.repeat(np.arange(n * n_supercell), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    fractional = vectors[starts[row] + within]
    atom, site = np.divmod(row, n_supercell)
    kind = np.array([primitive.p2p_map[s] for s in primitive.s2p_map])[site]
    # Atoms as stored: phonopy's own copies may be moved by lattice vectors.
    places = np.linalg.solve(crystal.cell.T, crystal.positions.T).T
    cells = np.round(fractional - places[kind] + places[atom]).astype(np.int64)
    blocks = crystal.force_constants[atom, site] / counts[row][:, None, None]
    keys = np.column_stack([atom, kind, cells])
    return _Pairs(keys, fractional @ crystal.cell, blocks)


def _common(
    keys: NDArray[np.int64], others: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the rows that both have, in one order."""
    _, inverse = np.unique(np.concatenate([keys, others]), axis=0, return_inverse=True)
    numbers = inverse.ravel()
    _, mine, yours = np.intersect1d(
        numbers[: len(keys)], numbers[len(keys) :], assume_unique=True, return_indices=True
    )
    return mine, yours


def _by_distance(vectors: Array, differences: Array, references: Array) -> tuple[DistanceBin, ...]:
    lengths = np.linalg.norm(vectors, axis=1)
    numbers = np.where(lengths < ON_SITE, 0, 1 + (lengths / BIN_WIDTH + 1e-6).astype(np.int64))
    rows = []
    for number in np.unique(numbers):
        inside = numbers == number
        errors = differences[inside]
        rows.append(
            DistanceBin(
                distance=float(lengths[inside].mean()),
                n_pairs=int(inside.sum()),
                mae=float(np.abs(errors).mean()),
                rmse=float(np.sqrt((errors**2).mean())),
                frobenius=float(np.linalg.norm(errors, axis=(1, 2)).mean()),
                size=float(np.linalg.norm(references[inside], axis=(1, 2)).mean()),
            )
        )
    return tuple(rows)
