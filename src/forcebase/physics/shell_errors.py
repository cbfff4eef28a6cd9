"""Errors of forces by distance from a defect, beside those of cells without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.defect_location import locate_defect
from forcebase.physics.error_tally import MILLI, ErrorSummary, ErrorTally
from forcebase.physics.shells import Shells, distances_from

PRISTINE = "pristine"
"""Label of the atoms of all cells without a defect."""


@dataclass(frozen=True)
class ShellErrors:
    """Errors of the forces on the atoms of one shell.

    Attributes:
        shell: as "3–6 Å" from the centre of the defect, or `PRISTINE`.
        n_structures: cells that have atoms in it.
        n_atoms: atoms in it whose forces are compared.
        mean_force: mean length of the reference's force vectors, meV/A; None without atoms.
        forces: of the Cartesian components, meV/A; None without atoms.
        by_element: element symbol -> the same for its atoms. Shells differ in what they are
            made of, so that elements must be compared apart.
    """

    shell: str
    n_structures: int
    n_atoms: int
    mean_force: float | None
    forces: ErrorSummary | None
    by_element: dict[str, ErrorSummary]


class ShellTally:
    """Errors of forces in each shell around the defects, and in cells without a defect.

    Distances are those of the actual, strained and displaced atoms from the nearest image of
    the defect's centre. Forces that the reference lacks (NaN) are left out.

    Args:
        host_unit_cell: the perfect crystal's unit cell.
        shells: edges of the shells.
    """

    def __init__(self, host_unit_cell: Atoms, shells: Shells) -> None:
        self._host = host_unit_cell
        self._shells = shells
        self._sums = [_ShellSums() for _ in (*shells.labels, PRISTINE)]

    def add(self, prediction: Frames, reference: Frames) -> None:
        """Take the same structures, in the same order: cells of the host, perfect or not.

        Raises:
            InputError: a structure is not a supercell of the host, or the two sides differ.
        """
        if not np.array_equal(prediction.structures, reference.structures):
            raise InputError(
                "Prediction and reference hold different structures, or in another order.",
                hint="Take the common ones, in the same order.",
            )
        places = _shell_of_atoms(reference, self._host, self._shells)
        known = np.isfinite(reference.forces).all(axis=1)
        for i, sums in enumerate(self._sums):
            sums.add(prediction, reference, known & (places == i))

    def errors(self) -> list[ShellErrors]:
        """One entry a shell, from the inside out, and the pristine cells' as the last."""
        labels = (*self._shells.labels, PRISTINE)
        return [sums.errors(label) for label, sums in zip(labels, self._sums, strict=True)]


@dataclass
class _ShellSums:
    n_structures: int = 0
    n_atoms: int = 0
    lengths: float = 0.0
    by_element: dict[str, ErrorTally] = field(default_factory=lambda: defaultdict(ErrorTally))

    def add(self, prediction: Frames, reference: Frames, chosen: NDArray[np.bool_]) -> None:
        self.n_structures += len(np.unique(reference.owners[chosen]))
        self.n_atoms += int(chosen.sum())
        self.lengths += float(np.linalg.norm(reference.forces[chosen], axis=1).sum())
        for z in np.unique(reference.numbers[chosen]):
            rows = chosen & (reference.numbers == z)
            part = ErrorTally.of(prediction.forces[rows], reference.forces[rows])
            self.by_element[chemical_symbols[z]].add(part)

    def errors(self, shell: str) -> ShellErrors:
        by_element = {
            element: tally.summary("meV/A") for element, tally in sorted(self.by_element.items())
        }
        return ShellErrors(
            shell=shell,
            n_structures=self.n_structures,
            n_atoms=self.n_atoms,
            mean_force=MILLI * self.lengths / self.n_atoms if self.n_atoms else None,
            forces=ErrorTally.merged(self.by_element.values()).summary("meV/A"),
            by_element={element: found for element, found in by_element.items() if found},
        )


def _shell_of_atoms(frames: Frames, host: Atoms, shells: Shells) -> NDArray[np.int64]:
    """(N,) shell of each atom; len(shells) in cells without a defect."""
    parts = [np.empty(0, dtype=np.int64)]
    for atoms, centre in zip(frames.atoms(), _centres(frames, host), strict=True):
        if centre is None:
            parts.append(np.full(len(atoms), len(shells), dtype=np.int64))
        else:
            parts.append(shells.of(distances_from(atoms, centre)))
    return np.concatenate(parts)


def _centres(frames: Frames, host: Atoms) -> Iterator[NDArray[np.float64] | None]:
    for structure, atoms in zip(frames.structures, frames.atoms(), strict=True):
        try:
            found = locate_defect(atoms, host)
        except InputError as error:
            raise InputError(
                f"Structure {structure[:10]}: {error.message}",
                hint=f"{error.hint} Or compare only structures made from it.",
                structure=str(structure),
            ) from None
        yield None if found is None else found.centre
