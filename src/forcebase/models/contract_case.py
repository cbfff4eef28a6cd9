"""A model and the structure that it is checked on, and what a check finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.frames import Frames
from forcebase.models.potential import Potential
from forcebase.models.third_party.engine import Labels


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        name: of the check.
        figure: the largest deviation; None where the check does not apply.
        tolerance: what it may be.
        unit: of both.
        note: what was done, or why it does not apply.
    """

    name: str
    figure: float | None
    tolerance: float
    unit: str
    note: str

    @property
    def passed(self) -> bool:
        """Whether the deviation is small enough; NaN is not."""
        return self.figure is None or bool(self.figure <= self.tolerance)


@dataclass(frozen=True)
class ContractReport:
    """All findings on one model."""

    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(finding.passed for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        rows = [{**asdict(f), "passed": f.passed} for f in self.findings]
        return {"passed": self.passed, "findings": rows}


@dataclass(frozen=True)
class Case:
    """A model and the structure that it is checked on.

    Attributes:
        model: loaded.
        atoms: periodic, best without symmetry, of elements that the model knows.
        reload: loads the model again from where it is stored.
    """

    model: Potential
    atoms: Atoms
    reload: Callable[[], Potential] | None = None

    @cached_property
    def labels(self) -> Labels:
        """The model's answers for the structure."""
        return self.ask([self.atoms])

    def ask(self, structures: Sequence[Atoms]) -> Labels:
        """The model's answers, one structure at a time."""
        found = [self.model.label(frames_of([atoms])) for atoms in structures]
        return Labels(
            energies=np.concatenate([one.energies for one in found]),
            forces=np.concatenate([one.forces for one in found]),
            stresses=np.concatenate([one.stresses for one in found]),
        )

    def slope(self, path: Callable[[float], Atoms], step: float) -> float:
        """dE/dx at 0, to fourth order in the step."""
        near, far = (self.ask([path(n * step), path(-n * step)]).energies for n in (1, 2))
        return float(8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * step)

    def tolerance(self, double: float, single: float) -> float:
        """By the precision that the model claims."""
        return double if self.model.dtype == "float64" else single


def frames_of(structures: Sequence[Atoms]) -> Frames:
    """Structures without labels, numbered."""
    return Frames.from_atoms(structures, ids=[str(i) for i in range(len(structures))])


def rattle(atoms: Atoms, scale: float) -> NDArray[np.float64]:
    """(n, 3) angstrom: the same random displacements each time."""
    return np.random.default_rng(3).normal(scale=scale, size=(len(atoms), 3))


def moved(atoms: Atoms, shift: NDArray[np.float64]) -> Atoms:
    """A copy, its atoms moved by `shift`, angstrom."""
    copy = atoms.copy()
    copy.positions = copy.positions + shift
    return copy
