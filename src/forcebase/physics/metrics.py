"""Errors of one set of labels against another: energy, forces, stress, by element, kind, family.

Both sides are `Frames`, so a model against DFT, a model against a model and DFT against DFT
are one and the same comparison.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.alignment import Align, align
from forcebase.physics.bootstrap import ErrorIntervals, RowSums, error_intervals
from forcebase.physics.error_tally import ErrorSummary, ErrorTally
from forcebase.physics.family_errors import worst_families
from forcebase.physics.label_errors import FrameErrors, LabelErrors
from forcebase.physics.structure_errors import StructureErrors


class FrameTally:
    """Errors of many structures, added up a part at a time.

    Some 200 bytes a structure are kept, whatever its size: `StructureErrors`.
    """

    def __init__(self) -> None:
        self._forces: dict[str, dict[str, ErrorTally]] = {}
        self._stresses: dict[str, ErrorTally] = defaultdict(ErrorTally)
        self._structures: list[StructureErrors] = []

    def add(self, prediction: Frames, reference: Frames) -> None:
        """Take structures that were not taken before, the same row for row on both sides.

        Raises:
            InputError: structures of one id differ in their atoms, or the prediction has no
                finite energy or force where the reference has one.
        """
        _check_atoms(prediction, reference)
        _check_finite(prediction, reference)
        kinds, codes = np.unique(reference.kinds, return_inverse=True)
        for i, kind in enumerate(map(str, kinds)):
            rows = codes == i
            atoms = rows[reference.owners]
            by_element = self._forces.setdefault(kind, defaultdict(ErrorTally))
            for z in np.unique(reference.numbers[atoms]):
                some = atoms & (reference.numbers == z)
                part = ErrorTally.of(prediction.forces[some], reference.forces[some])
                by_element[chemical_symbols[z]].add(part)
            part = ErrorTally.of(prediction.stresses[rows], reference.stresses[rows])
            self._stresses[kind].add(part)
        self._structures.append(StructureErrors.of(prediction, reference))

    def errors(self, alignment: Align = Align.NONE) -> FrameErrors:
        """Summarise all that was taken.

        Raises:
            InputError: nothing was, or the energies cannot be aligned.
        """
        if not any(len(part.energies) for part in self._structures):
            raise InputError("There is nothing to compare: the reference holds no structures.")
        found = StructureErrors.joined(self._structures)
        predicted, fitted = align(
            found.predicted, found.energies, found.counts, found.elements, alignment
        )
        found = replace(found, predicted=predicted)
        names, codes = np.unique(found.families, return_inverse=True)
        off = RowSums.of((predicted - found.energies) / found.n_atoms)
        kinds = sorted(self._forces)
        overall = self._label_errors(found, kinds)
        return FrameErrors(
            overall=overall,
            by_kind={
                kind: self._label_errors(found.take(found.kinds == kind.encode()), [kind])
                for kind in kinds
            }
            if len(kinds) > 1
            else {kinds[0]: overall},
            n_families=len(names),
            worst_families=worst_families(names, codes, off, found.forces),
            alignment=fitted,
        )

    def _label_errors(self, found: StructureErrors, kinds: Iterable[str]) -> LabelErrors:
        """Errors of the structures of some kinds."""
        parts = [self._forces[kind] for kind in kinds]
        forces = {
            element: ErrorTally.merged(part[element] for part in parts if element in part)
            for element in found.elements
        }
        by_element = {element: tally.summary("meV/A") for element, tally in forces.items()}
        stresses = ErrorTally.merged(self._stresses[kind] for kind in kinds)
        return LabelErrors(
            n_structures=len(found.energies),
            n_atoms=int(found.n_atoms.sum()),
            energy=_energy_errors(found.predicted, found),
            energy_aligned=_aligned_energy_errors(found),
            forces=ErrorTally.merged(forces.values()).summary("meV/A"),
            forces_by_element={element: e for element, e in by_element.items() if e},
            stress=stresses.summary("meV/A^3"),
            intervals=_intervals(found),
        )


def _energy_errors(predicted: NDArray[np.float64], found: StructureErrors) -> ErrorSummary | None:
    n_atoms = found.n_atoms
    return ErrorTally.of(predicted / n_atoms, found.energies / n_atoms).summary("meV/atom")


def _aligned_energy_errors(found: StructureErrors) -> ErrorSummary | None:
    known = found.take(np.isfinite(found.energies))
    counts = known.counts[:, known.counts.any(axis=0)]
    if counts.shape[0] <= counts.shape[1]:
        return None
    fractions = counts / known.n_atoms[:, None]
    off = (known.predicted - known.energies) / known.n_atoms
    shifts = np.linalg.lstsq(fractions, off, rcond=None)[0]
    return _energy_errors(known.predicted - counts @ shifts, known)


def _intervals(found: StructureErrors) -> dict[str, ErrorIntervals]:
    sums = {
        "energy": RowSums.of((found.predicted - found.energies) / found.n_atoms),
        "forces": found.forces,
        "stress": found.stresses,
    }
    intervals = {name: error_intervals(rows, found.families) for name, rows in sums.items()}
    return {name: found for name, found in intervals.items() if found is not None}


def _check_atoms(prediction: Frames, reference: Frames) -> None:
    same = np.array_equal(prediction.structures, reference.structures)
    if not same or not np.array_equal(prediction.numbers, reference.numbers):
        raise InputError(
            "Structures of the same id differ in their atoms.",
            hint="Take structure ids from `structure_digest`, with atoms in the same order.",
        )


def _check_finite(prediction: Frames, reference: Frames) -> None:
    lost = np.isfinite(reference.energies) & ~np.isfinite(prediction.energies)
    gaps = (np.isfinite(reference.forces) & ~np.isfinite(prediction.forces)).any(axis=1)
    lost |= np.bincount(reference.owners, weights=gaps, minlength=len(lost)) > 0
    if lost.any():
        raise InputError(
            f"{lost.sum()} predictions have no finite energy or force, "
            f"the first for structure {reference.structures[lost][0]}.",
            hint="Look at these structures: a model far outside its training data gives NaN.",
            structures=reference.structures[lost][:10].tolist(),
        )
