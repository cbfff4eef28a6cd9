"""The symmetry that force constants hold to, among that of their structure.

A structure can have more: magnetic moments that were not told, noise, a supercell whose lattice
is not that of the crystal. What is reduced by symmetry is reduced by what is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from phonopy import Phonopy

TOLERANCE = 1e-3
"""Of the largest element of a dynamical matrix; symmetrized force constants hold to 1e-8."""

Q_POINTS = ((0.0891, 0.1534, 0.2123), (-0.1771, 0.0673, 0.1192))
"""Fractional; of no symmetry in any lattice."""


@dataclass(frozen=True, eq=False)
class HeldSymmetry:
    """Operations of the primitive cell that the force constants do not change under.

    Attributes:
        rotations: (m, 3, 3) integers, each once, in the basis of the primitive cell.
        equivalent_atoms: (n_primitive,) for each atom the first that is equivalent to it.
        n_held: operations that are held.
        n_of_structure: operations of the structure, with its magnetic moments.
        error: of those held, the largest error of a dynamical matrix, of its largest element.
    """

    rotations: NDArray[np.int64]
    equivalent_atoms: NDArray[np.int64]
    n_held: int
    n_of_structure: int
    error: float

    @property
    def is_whole(self) -> bool:
        """Whether the force constants have all the symmetry of their structure."""
        return self.n_held == self.n_of_structure

    def finding(self) -> str | None:
        """Say that there is less symmetry than the structure has; None where it is whole."""
        if self.is_whole:
            return None
        return (
            f"the force constants hold to {self.n_held} of the {self.n_of_structure} symmetry "
            "operations of the structure: q-points and meshes are reduced by these alone"
        )


def held_symmetry(phonopy: Phonopy) -> HeldSymmetry:
    """Find what of the structure's symmetry the force constants of `phonopy` hold to.

    Under {R|t} the dynamical matrix at q turns into that at Rq, atoms moved along; this is looked
    at for two q-points without symmetry. `phonopy` has no non-analytical term.
    """
    primitive = phonopy.primitive
    found = phonopy.primitive_symmetry.symmetry_operations
    rotations, translations = found["rotations"], found["translations"]
    before = [_matrix(phonopy, np.array(point)) for point in Q_POINTS]
    scale = max(float(np.abs(matrix).max()) for matrix in before) or 1.0
    kept, errors = [], []
    images = _images(primitive.scaled_positions, primitive.cell, rotations, translations)
    for rotation, image in zip(rotations, images, strict=True):
        error = _error(phonopy, rotation, image, before) / scale
        kept.append(error <= TOLERANCE)
        errors.append(error)
    held = np.array(kept)
    return HeldSymmetry(
        rotations=np.unique(rotations[held], axis=0).astype(np.int64),
        equivalent_atoms=images[held].min(axis=0),
        n_held=int(held.sum()),
        n_of_structure=len(rotations),
        error=float(np.array(errors)[held].max()),
    )


def _images(
    places: NDArray[np.float64],
    cell: NDArray[np.float64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
) -> NDArray[np.int64]:
    """(n_operations, n_atoms) the atom that each atom is moved onto."""
    images = []
    for rotation, translation in zip(rotations, translations, strict=True):
        moved = places @ rotation.T + translation
        apart = moved[:, None] - places[None]
        apart -= np.round(apart)
        images.append(np.argmin(((apart @ cell) ** 2).sum(axis=2), axis=1))
    return np.array(images, dtype=np.int64)


def _error(
    phonopy: Phonopy,
    rotation: NDArray[np.int64],
    image: NDArray[np.int64],
    before: list[NDArray[np.complex128]],
) -> float:
    lattice = phonopy.primitive.cell.T
    turn = lattice @ rotation @ np.linalg.inv(lattice)
    to_reciprocal = np.linalg.inv(rotation).T
    n = len(image)
    worst = 0.0
    for point, matrix in zip(Q_POINTS, before, strict=True):
        after = _matrix(phonopy, to_reciprocal @ np.array(point)).reshape(n, 3, n, 3)
        moved = after[image][:, :, image]
        blocks = matrix.reshape(n, 3, n, 3).transpose(0, 2, 1, 3)
        turned = (turn @ blocks @ turn.T).transpose(0, 2, 1, 3)
        worst = max(worst, float(np.abs(moved - turned).max()))
    return worst


def _matrix(phonopy: Phonopy, q_point: NDArray[np.float64]) -> NDArray[np.complex128]:
    dynamical_matrix = phonopy.dynamical_matrix
    dynamical_matrix.run(q_point)
    return np.array(dynamical_matrix.dynamical_matrix)
