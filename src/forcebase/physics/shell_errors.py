"""Errors of forces by distance from a defect, beside those of cells without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.defect_location import locate_defect
from forcebase.physics.metrics import (
    MILLI,
    ErrorSummary,
    summarize_by_element,
    summarize_errors,
)
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


def compare_forces_by_shell(
    prediction: Frames, reference: Frames, host_unit_cell: Atoms, shells: Shells
) -> list[ShellErrors]:
    """Errors of forces in each shell around the defects, and in cells without a defect.

    Distances are those of the actual, strained and displaced atoms from the nearest image of
    the defect's centre. Forces that the reference lacks (NaN) are left out.

    Args:
        prediction: the same structures as `reference`, in the same order.
        reference: cells of one crystal, with and without defects.
        host_unit_cell: the perfect crystal's unit cell.
        shells: edges of the shells.

    Returns:
        One entry a shell, from the inside out, and the pristine cells' as the last.

    Raises:
        InputError: a structure is no supercell of the host, or the two sides differ.
    """
    if not np.array_equal(prediction.structures, reference.structures):
        raise InputError(
            "Prediction and reference hold different structures, or in another order.",
            hint="Take the common ones, in the same order.",
        )
    places = _shell_of_atoms(reference, host_unit_cell, shells)
    known = np.isfinite(reference.forces).all(axis=1)
    return [
        _errors(prediction, reference, label, known & (places == i))
        for i, label in enumerate((*shells.labels, PRISTINE))
    ]


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


def _errors(
    prediction: Frames, reference: Frames, label: str, chosen: NDArray[np.bool_]
) -> ShellErrors:
    target = reference.forces[chosen]
    return ShellErrors(
        shell=label,
        n_structures=len(np.unique(reference.owners[chosen])),
        n_atoms=len(target),
        mean_force=MILLI * float(np.linalg.norm(target, axis=1).mean()) if len(target) else None,
        forces=summarize_errors(prediction.forces[chosen], target, "meV/A"),
        by_element=summarize_by_element(
            reference.numbers[chosen], prediction.forces[chosen], target, "meV/A"
        ),
    )
