"""Steps of a curation: each looks at the records still in, and names those to drop and why."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from monty.json import MSONable
from numpy.typing import NDArray

from forcebase.bounds import Bounds, check_bounds
from forcebase.curation.fingerprint import find_near_pairs
from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames
from forcebase.physics.reference_energies import fit_e0s, residual_energies

MIN_FOR_SPREAD = 10  # fewer records say nothing about what is usual among them
SCORE = Bounds(0, 1_000_000_000, above=True)
LARGE = Bounds(0, 1_000_000_000)
CUTOFF = Bounds(0, 20, above=True)
"""Angstrom."""

HOW_RELEASED = "`--step released:phonon=NAME,why=...` lets one phonon's cells in"

Dropped = Sequence[tuple[int, str] | tuple[int, str, int]]
"""Index and reason of each record that is dropped, and of a copy the index of what it copies."""


class Step(MSONable, ABC):
    """One reason to leave records out of a dataset; a frozen dataclass that says how."""

    name: ClassVar[str]
    selects: ClassVar[bool] = False
    """Whether it chooses among good records; such steps come after all others."""

    @property
    def key(self) -> str:
        """By which a chosen step takes the place of another."""
        return self.name

    def parameters(self) -> dict[str, Any]:
        """Give what the step was set to, as plain JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()  # type: ignore[call-overload]
        }

    @abstractmethod
    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Look at the records of `frames` that are still `kept`, an (n,) mask.

        Returns:
            (index, reason) of each record to drop, by index.
        """


def short(method: str) -> str:
    """The first digits of a method's id; "none"."""
    return method[:10] or "none"


@dataclass(frozen=True)
class OneMethod(Step):
    """Keep the labels of one method.

    Attributes:
        method: its id; None where all candidates are of the same method.
        equal: ids of methods that are taken for one with it; found in the database.
    """

    name: ClassVar[str] = "one-method"
    method: str | None = None
    equal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "equal", tuple(self.equal))

    def parameters(self) -> dict[str, Any]:
        """Give the method, and those that are taken for one with it where there are any."""
        return {"method": self.method, **({"equal": list(self.equal)} if self.equal else {})}

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop labels of other methods.

        Raises:
            MixedMethodsError: there are several methods and none was asked for.
            InputError: no record is of the method asked for.
        """
        names, counts = np.unique(frames.methods[kept], return_counts=True)
        found = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
        wanted = next(iter(found), "") if self.method is None else self.method
        listing = ", ".join(f"{name[:10] or 'none'} ({count})" for name, count in found.items())
        if self.method is None and len(found) > 1:
            raise MixedMethodsError(
                f"The candidates are labelled by {len(found)} methods: {listing}.",
                hint="Name the one to keep, or query the records of one method.",
                methods=found,
            )
        if wanted not in found:
            raise InputError(
                f"No candidate is of method {wanted[:10]}; there are: {listing or 'none'}.",
                hint="Check the method's id and the query.",
                methods=found,
            )
        others = np.flatnonzero(kept & ~np.isin(frames.methods, [wanted, *self.equal]))
        return [
            (int(i), f"labelled by method {short(frames.methods[i])}, not {short(wanted)}")
            for i in others
        ]


@dataclass(frozen=True)
class LabelsPresent(Step):
    """Keep records that have an energy and all forces, as finite numbers.

    Attributes:
        stress: ask for the stress too.
    """

    name: ClassVar[str] = "labels-present"
    stress: bool = False

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop records that lack a label."""
        bad_atoms = ~np.isfinite(frames.forces).all(axis=1)
        lacking: dict[str, Any] = {
            "energy": ~np.isfinite(frames.energies),
            "forces": np.bincount(frames.owners, weights=bad_atoms, minlength=len(frames)) > 0,
        }
        if self.stress:
            lacking["stress"] = ~np.isfinite(frames.stresses).all(axis=1)
        bad = np.flatnonzero(kept & np.logical_or.reduce(list(lacking.values())))
        return [
            (int(i), f"no finite {' and '.join(name for name in lacking if lacking[name][i])}")
            for i in bad
        ]


@dataclass(frozen=True)
class MinimumDistance(Step):
    """Keep structures whose atoms are not on top of each other.

    Attributes:
        fraction: smallest distance, as a fraction of the sum of the two covalent radii
            (Cordero et al., Dalton Trans. 2832 (2008), as in ASE).
    """

    name: ClassVar[str] = "minimum-distance"
    fraction: float = 0.6

    def __post_init__(self) -> None:
        check_bounds(self, {"fraction": Bounds(0, 1)}, f"step {self.name}")

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop structures with two atoms too close, periodic images included."""
        from matscipy.neighbours import neighbour_list

        offsets = frames.offsets
        dropped = []
        for index in np.flatnonzero(kept):
            rows = slice(offsets[index], offsets[index + 1])
            numbers = frames.numbers[rows]
            radii = covalent_radii[numbers]
            i, j, distances = neighbour_list(
                "ijd",
                positions=frames.positions[rows],
                cell=frames.cells[index],
                pbc=frames.pbc[index],
                cutoff=self.fraction * radii,
            )
            if len(distances):
                closest = np.argmin(distances / (radii[i] + radii[j]))
                ratio = distances[closest] / (radii[i] + radii[j])[closest]
                pair = "-".join(chemical_symbols[numbers[k[closest]]] for k in (i, j))
                dropped.append(
                    (
                        int(index),
                        f"{pair} {distances[closest]:.2f} A apart, {ratio:.2f} of the sum of "
                        f"covalent radii < {self.fraction:g}",
                    )
                )
        return dropped


@dataclass(frozen=True)
class EnergyOutliers(Step):
    """Keep energies per atom that are near the others', whatever the composition.

    The part that depends on composition only is fitted and taken off first.

    Attributes:
        z: largest robust z-score, |x - median| / (1.4826 MAD).
        floor: eV/atom; a smaller distance from the median is never an outlier, so that a set
            of mostly relaxed structures does not lose its few displaced ones.
    """

    name: ClassVar[str] = "energy-outliers"
    z: float = 5.0
    floor: float = 0.1

    def __post_init__(self) -> None:
        check_bounds(self, {"z": SCORE, "floor": LARGE}, f"step {self.name}")

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop records whose energy stands out, upwards or downwards."""
        indices = np.flatnonzero(kept)
        if len(indices) < MIN_FOR_SPREAD:
            return []
        some = frames.take(indices)
        e0s = fit_e0s(some.numbers, some.owners, some.energies)
        residuals = residual_energies(some.numbers, some.owners, some.energies, e0s) / some.n_atoms
        distance = residuals - np.median(residuals)
        scores = robust_z(residuals)
        out = np.flatnonzero((np.abs(scores) > self.z) & (np.abs(distance) > self.floor))
        return [
            (
                int(indices[k]),
                f"energy {some.energies[k] / some.n_atoms[k]:.3f} eV/atom, {distance[k]:+.3f} from "
                f"the median at its composition, robust z = {abs(scores[k]):.1f} > {self.z:g}",
            )
            for k in out
        ]


@dataclass(frozen=True)
class ForceOutliers(Step):
    """Keep records whose largest force is physical and near the others'.

    Attributes:
        limit: eV/A; a larger force on any atom is dropped however usual it is.
        z: largest robust z-score of the largest force, upwards only.
        floor: eV/A; a largest force below it is never an outlier.
    """

    name: ClassVar[str] = "force-outliers"
    limit: float = 30.0
    z: float = 5.0
    floor: float = 5.0

    def __post_init__(self) -> None:
        check_bounds(self, {"limit": LARGE, "z": SCORE, "floor": LARGE}, f"step {self.name}")

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop records with a force beyond the limit, or far from the usual."""
        indices = np.flatnonzero(kept)
        if len(indices) == 0:
            return []
        norms = np.linalg.norm(frames.forces, axis=1)
        largest = np.maximum.reduceat(norms, frames.offsets[:-1])[indices]
        enough = len(indices) >= MIN_FOR_SPREAD
        scores = robust_z(largest) if enough else np.zeros(len(indices))
        dropped = []
        for k in np.flatnonzero((largest > self.limit) | (scores > self.z)):
            text = f"max |F| {largest[k]:.2f} eV/A"
            if largest[k] > self.limit:
                dropped.append((int(indices[k]), f"{text} > {self.limit:g}"))
            elif largest[k] > self.floor:
                dropped.append(
                    (int(indices[k]), f"{text}, robust z = {scores[k]:.1f} > {self.z:g}")
                )
        return dropped


@dataclass(frozen=True)
class NearDuplicates(Step):
    """Keep one of several structures that are the same but for a rotation or small noise.

    Attributes:
        tolerance: angstrom; the largest difference between matching pair distances.
        cutoff: angstrom; the longest pair distance that is looked at.
    """

    name: ClassVar[str] = "near-duplicates"
    tolerance: float = 0.01
    cutoff: float = 6.0

    def __post_init__(self) -> None:
        check_bounds(self, {"tolerance": Bounds(0, 1), "cutoff": CUTOFF}, f"step {self.name}")

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop later copies; the first in `frames` stays."""
        pairs = find_near_pairs(
            frames, np.flatnonzero(kept), tolerance=self.tolerance, cutoff=self.cutoff
        )
        reasons: dict[int, tuple[int, str, int]] = {}
        for pair in sorted(pairs, key=lambda p: (p.second, p.difference, p.first)):
            if pair.first in reasons or pair.second in reasons:
                continue
            gap = np.abs(np.subtract(*frames.energies[[pair.first, pair.second]]))
            meV = 1000 * gap / frames.n_atoms[pair.second]
            reason = (
                f"near copy of {frames.ids[pair.first]}: pair distances up to {self.cutoff:g} A "
                f"within {pair.difference:.4f} A, energies within {meV:.2f} meV/atom"
            )
            reasons[pair.second] = (pair.second, reason, pair.first)
        return [found for _, found in sorted(reasons.items())]


@dataclass(frozen=True)
class Released(Step):
    """Let the cells of one DFT phonon in: a statement that is kept with the dataset.

    It drops nothing. What a phonon's force constants were made from is else reserved.

    Attributes:
        phonon: id, name or tag.
        why: in words.
    """

    name: ClassVar[str] = "released"
    phonon: str
    why: str

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise InputError(
                "A phonon is released without a word why.",
                hint="Say `--step released:phonon=NAME,why=...`: it is kept with the dataset.",
            )

    @property
    def key(self) -> str:
        """Its name and the phonon: several may be released."""
        return f"{self.name} {self.phonon}"

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:  # noqa: ARG002
        """Drop nothing."""
        return []


@dataclass(frozen=True)
class Reserved(Step):
    """Keep out records that are needed for something else, such as a reference phonon's forces.

    Attributes:
        why: what they are reserved for.
        structures: structure ids.
        families: family ids.
    """

    name: ClassVar[str] = "reserved"
    why: str
    structures: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "structures", tuple(self.structures))
        object.__setattr__(self, "families", tuple(self.families))

    def apply(self, frames: Frames, kept: NDArray[np.bool_]) -> Dropped:
        """Drop records of these structures and families."""
        by_structure = np.isin(frames.structures, self.structures)
        by_family = np.isin(frames.families, self.families)
        return [
            (
                int(i),
                f"reserved for {self.why}: "
                + (
                    f"structure {frames.structures[i][:10]}"
                    if by_structure[i]
                    else f"family {frames.families[i][:10]}"
                )
                + f"; {HOW_RELEASED}",
            )
            for i in np.flatnonzero(kept & (by_structure | by_family))
        ]


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score each value by its distance from the median over the spread of the others.

    The spread is 1.4826 times the median absolute deviation, which is the standard deviation
    for normal data; where more than half of the values are equal, 1.2533 times the mean
    absolute deviation (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).

    Args:
        values: (n,), finite.

    Returns:
        (n,) signed scores; zeros where all values are equal.
    """
    distance = values - np.median(values)
    spread = 1.4826 * np.median(np.abs(distance)) or 1.2533 * np.abs(distance).mean()
    return distance / spread if spread else np.zeros_like(distance)


def default_steps(method: str | None = None) -> tuple[Step, ...]:
    """Give the usual steps in the usual order; the cheap and the strict come first."""
    return (
        OneMethod(method),
        LabelsPresent(),
        MinimumDistance(),
        EnergyOutliers(),
        ForceOutliers(),
        NearDuplicates(),
    )
