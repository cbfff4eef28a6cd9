"""Errors of one set of labels against another: energy, forces, stress, by element, kind, family.

Both sides are `Frames`, so a model against DFT, a model against a model and DFT against DFT
are one and the same comparison.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.bootstrap import ErrorIntervals, error_intervals
from forcebase.physics.family_errors import FamilyErrors, worst_families
from forcebase.physics.reference_energies import count_elements

MILLI = 1000.0


@dataclass(frozen=True)
class ErrorSummary:
    """How far predictions are from references.

    Attributes:
        unit: of `mae`, `rmse` and `max`.
        n: numbers compared: structures for energies, components for forces and stress.
        mae: mean absolute error.
        rmse: root of the mean squared error.
        max: largest absolute error.
        r2: 1 - residual over total sum of squares; None where the references do not vary.
        p50: half of the absolute errors are no larger; so p90, p95, p99.
    """

    unit: str
    n: int
    mae: float
    rmse: float
    max: float
    r2: float | None
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True)
class LabelErrors:
    """Errors over a set of structures; None where the references have no such label.

    Attributes:
        n_structures: structures compared.
        n_atoms: atoms compared.
        energy: total energy per atom, meV/atom.
        energy_aligned: the same after the best shift per element, for labels whose zeros of
            energy differ (another code, a universal model); None where there are no more
            structures than elements to tell a shift from an error.
        forces: Cartesian components, meV/A.
        forces_by_element: element symbol -> the same for its atoms.
        stress: the six Voigt components, meV/A^3.
        intervals: energy, forces and stress -> intervals of 95 % of MAE and RMSE, families of
            structures resampled as wholes; none for what has too few families.
    """

    n_structures: int
    n_atoms: int
    energy: ErrorSummary | None
    energy_aligned: ErrorSummary | None
    forces: ErrorSummary | None
    forces_by_element: dict[str, ErrorSummary]
    stress: ErrorSummary | None
    intervals: dict[str, ErrorIntervals]


@dataclass(frozen=True)
class FrameErrors:
    """Errors over all structures, by configuration kind and by family.

    Attributes:
        overall: of all structures.
        by_kind: configuration kind -> of its structures.
        n_families: among the structures.
        worst_families: those with the largest RMSE of forces, `MOST_FAMILIES` at most, worst first.
    """

    overall: LabelErrors
    by_kind: dict[str, LabelErrors]
    n_families: int
    worst_families: list[FamilyErrors]

    def as_dict(self) -> dict[str, Any]:
        """Give plain dicts, numbers and None, as JSON and MongoDB take them."""
        return asdict(self)


def compare_frames(prediction: Frames, reference: Frames) -> FrameErrors:
    """Compare labels of the same structures, matched by structure id; order does not matter.

    Labels that the reference lacks (NaN) are left out, and so is stress where the prediction
    has none. Configuration kinds are the reference's.

    Raises:
        InputError: the two sides do not hold the same structures once each, or the
            prediction has no finite energy or force where the reference has one.
    """
    order = _match(prediction, reference)
    rows = _atom_rows(prediction, order)
    if not np.array_equal(prediction.numbers[rows], reference.numbers):
        raise InputError(
            "Structures of the same id differ in their atoms.",
            hint="Take structure ids from `structure_digest`, with atoms in the same order.",
        )
    pairs = _Pairs(
        families=np.where(reference.families == "", reference.structures, reference.families),
        numbers=reference.numbers,
        owners=reference.owners,
        n_atoms=reference.n_atoms,
        energies=(prediction.energies[order], reference.energies),
        forces=(prediction.forces[rows], reference.forces),
        stresses=(prediction.stresses[order], reference.stresses),
    )
    pairs.check_finite(reference.structures)
    kinds, codes = np.unique(reference.kinds, return_inverse=True)
    worst, n_families = worst_families(
        pairs.families,
        (pairs.energies[0] - pairs.energies[1]) / pairs.n_atoms,
        pairs.forces[0] - pairs.forces[1],
        pairs.owners,
    )
    return FrameErrors(
        overall=pairs.errors(),
        by_kind={str(kind): pairs.select(codes == i).errors() for i, kind in enumerate(kinds)},
        n_families=n_families,
        worst_families=worst,
    )


def summarize_errors(
    prediction: NDArray[np.float64], reference: NDArray[np.float64], unit: str
) -> ErrorSummary | None:
    """Summarise two arrays of one shape in eV-based units as errors in `unit`, which is meV-based.

    Pairs of which either number is NaN are left out; None where nothing is left.
    """
    known = np.isfinite(prediction) & np.isfinite(reference)
    if not known.any():
        return None
    target = reference[known]
    error = prediction[known] - target
    size = MILLI * np.abs(error)
    p50, p90, p95, p99 = (float(p) for p in np.percentile(size, (50, 90, 95, 99)))
    squares = float(error @ error)
    spread = target - target.mean()
    total = float(spread @ spread)
    # Rounding alone leaves a spread of about eps; a constant reference has no R2.
    varies = total > (np.finfo(float).eps * np.abs(target).max()) ** 2 * target.size
    return ErrorSummary(
        unit=unit,
        n=int(error.size),
        mae=float(size.mean()),
        rmse=MILLI * float(np.sqrt(squares / error.size)),
        max=float(size.max()),
        r2=1 - squares / total if varies else None,
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
    )


def summarize_by_element(
    numbers: NDArray[np.int64],
    prediction: NDArray[np.float64],
    reference: NDArray[np.float64],
    unit: str,
) -> dict[str, ErrorSummary]:
    """Summarise per-atom arrays element by element, as `summarize_errors` does.

    Args:
        numbers: (N,) atomic numbers.
        prediction: (N, ...).
        reference: (N, ...).
        unit: of the errors.

    Returns:
        Element symbol -> errors; no element of which nothing is known.
    """
    found = {}
    for z in np.unique(numbers):
        chosen = numbers == z
        errors = summarize_errors(prediction[chosen], reference[chosen], unit)
        if errors is not None:
            found[chemical_symbols[z]] = errors
    return found


@dataclass(frozen=True)
class _Pairs:
    """Labels of both sides in the same order, as (prediction, reference)."""

    families: NDArray[np.str_]
    numbers: NDArray[np.int64]
    owners: NDArray[np.int64]
    n_atoms: NDArray[np.int64]
    energies: tuple[NDArray[np.float64], NDArray[np.float64]]
    forces: tuple[NDArray[np.float64], NDArray[np.float64]]
    stresses: tuple[NDArray[np.float64], NDArray[np.float64]]

    def select(self, mask: NDArray[np.bool_]) -> _Pairs:
        rows = mask[self.owners]
        return _Pairs(
            families=self.families[mask],
            numbers=self.numbers[rows],
            owners=np.repeat(np.arange(mask.sum()), self.n_atoms[mask]),
            n_atoms=self.n_atoms[mask],
            energies=(self.energies[0][mask], self.energies[1][mask]),
            forces=(self.forces[0][rows], self.forces[1][rows]),
            stresses=(self.stresses[0][mask], self.stresses[1][mask]),
        )

    def check_finite(self, structures: NDArray[np.str_]) -> None:
        lost = np.isfinite(self.energies[1]) & ~np.isfinite(self.energies[0])
        gaps = (np.isfinite(self.forces[1]) & ~np.isfinite(self.forces[0])).any(axis=1)
        lost |= np.bincount(self.owners, weights=gaps, minlength=len(lost)) > 0
        if lost.any():
            raise InputError(
                f"{lost.sum()} predictions have no finite energy or force, "
                f"the first for structure {structures[lost][0]}.",
                hint="Look at these structures: a model far outside its training data gives NaN.",
                structures=structures[lost][:10].tolist(),
            )

    def errors(self) -> LabelErrors:
        energies = [energy / self.n_atoms for energy in self.energies]
        return LabelErrors(
            n_structures=len(self.n_atoms),
            n_atoms=len(self.numbers),
            energy=summarize_errors(energies[0], energies[1], "meV/atom"),
            energy_aligned=self._aligned_energy(),
            forces=summarize_errors(*self.forces, unit="meV/A"),
            forces_by_element=summarize_by_element(self.numbers, *self.forces, unit="meV/A"),
            stress=summarize_errors(*self.stresses, unit="meV/A^3"),
            intervals=self._intervals(),
        )

    def _intervals(self) -> dict[str, ErrorIntervals]:
        off = {
            "energy": (self.energies[0] - self.energies[1]) / self.n_atoms,
            "forces": (self.forces[0] - self.forces[1]).ravel(),
            "stress": (self.stresses[0] - self.stresses[1]).ravel(),
        }
        repeats: dict[str, Any] = {"energy": 1, "forces": 3 * self.n_atoms, "stress": 6}
        found = {
            name: error_intervals(MILLI * errors, np.repeat(self.families, repeats[name]))
            for name, errors in off.items()
        }
        return {name: intervals for name, intervals in found.items() if intervals is not None}

    def _aligned_energy(self) -> ErrorSummary | None:
        known = np.isfinite(self.energies[1])
        counts = count_elements(self.numbers, self.owners, len(known))[1][known]
        if counts.shape[0] <= counts.shape[1]:
            return None
        n_atoms = self.n_atoms[known]
        prediction, reference = (energy[known] / n_atoms for energy in self.energies)
        fractions = counts / n_atoms[:, None]
        shifts = np.linalg.lstsq(fractions, prediction - reference, rcond=None)[0]
        return summarize_errors(prediction - fractions @ shifts, reference, "meV/atom")


def _match(prediction: Frames, reference: Frames) -> NDArray[np.int64]:
    """Index into `prediction` of each structure of `reference`."""
    for side, frames in (("prediction", prediction), ("reference", reference)):
        names, counts = np.unique(frames.structures, return_counts=True)
        if (counts > 1).any():
            raise InputError(
                f"The {side} holds structure {names[counts > 1][0]} more than once.",
                hint="Keep one label per structure and method.",
                structures=names[counts > 1][:10].tolist(),
            )
    if len(reference) == 0:
        raise InputError("There is nothing to compare: the reference holds no structures.")
    missing = np.setdiff1d(reference.structures, prediction.structures)
    extra = np.setdiff1d(prediction.structures, reference.structures)
    if len(missing) or len(extra):
        raise InputError(
            f"Prediction and reference hold different structures: {len(missing)} of the "
            f"reference have no prediction, {len(extra)} predictions have no reference.",
            hint="Predict the missing structures, or take the common ones on both sides.",
            missing=missing[:10].tolist(),
            extra=extra[:10].tolist(),
        )
    order = np.empty(len(reference), dtype=np.int64)
    order[np.argsort(reference.structures)] = np.argsort(prediction.structures)
    return order


def _atom_rows(frames: Frames, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the per-atom columns when the structures are taken in `order`."""
    counts = frames.n_atoms[order]
    shifts = frames.offsets[:-1][order] - (np.cumsum(counts) - counts)
    return np.repeat(shifts, counts) + np.arange(counts.sum())
