"""The noise floor of a phonon: how far one method is from itself, made with other numerics.

Where the database holds a second phonon of the same method and structure that differs in the
length of the displacements alone, or in the precision of the model's numbers alone, the two are
compared with each other. An error that is not above this floor says nothing of the method.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from forcebase.comparison.phonon_protocol import Part, amplitude
from forcebase.comparison.phonons import compare_phonons
from forcebase.database.database import Database
from forcebase.records import ModelMethod, Phonon, Validation
from forcebase.records.phonon import FOUND

HOW_MADE = frozenset({*FOUND, "asked", "method", "code", "displacement_A", "tolerance_eV_per_A2"})
"""Entries of a protocol that the displacements and the precision change, or that were measured."""

WHAT_A_MODEL_IS = ("kind", "head", "arguments", "package")
"""Beside its weights and its precision; calculators of ASE may have no weights."""


class Varied(StrEnum):
    """What alone differs between two phonons of one method."""

    DISPLACEMENT = "displacement"
    PRECISION = "precision"


@dataclass(frozen=True, eq=False)
class PhononFloor:
    """One method compared with itself.

    Attributes:
        side: "model" or "reference" of the comparison that the floor belongs to.
        varied: what differs.
        values: of the two: angstrom (0 for analytic derivatives), or float64 and float32.
        validation: the comparison of the two, a record like any other.
    """

    side: str
    varied: Varied
    values: tuple[str, str]
    validation: Validation

    def as_dict(self) -> dict[str, Any]:
        """What it is and its metrics, for JSON."""
        return {
            "side": self.side,
            "varied": str(self.varied),
            "values": list(self.values),
            "validation": self.validation.id,
            "metrics": dict(self.validation.metrics),
        }


def phonon_floors(db: Database, validation: Validation) -> list[PhononFloor]:
    """Find and compute the noise floors of both sides of a comparison of phonons.

    They are looked up when asked for: phonons that come later give floors to comparisons that are
    there already, whose records do not change.
    """
    floors = []
    for side in ("model", "reference"):
        phonon = db.phonons.get(validation.on[f"{side}_phonon"])
        for one, other, varied, values in _repeats(db, phonon):
            found = compare_phonons(db, other, one, allow=(Part.DISPLACEMENT, Part.RELAXATION))
            floors.append(PhononFloor(side, varied, values, found))
    return floors


def largest_floors(floors: list[PhononFloor]) -> dict[str, float]:
    """Dotted name of each metric -> its largest magnitude over all floors."""
    largest: dict[str, float] = {}
    for floor in floors:
        for name, value in _numbers(floor.validation.metrics):
            largest[name] = max(largest.get(name, 0.0), abs(value))
    return largest


def _repeats(
    db: Database, phonon: Phonon
) -> Iterator[tuple[Phonon, Phonon, Varied, tuple[str, str]]]:
    """Pairs of phonons of one method that differ in one thing alone, what it is, and its values.

    The precision is told by any two of the method and structure, for analytic derivatives are
    made in full precision only.
    """
    own = db.methods.get(phonon.method)
    methods = {own.id: own} | {method.id: method for method in _other_precisions(db, own)}
    found = db.phonons.find(method=list(methods), sort="id")
    alike = [other for other in found if _alike(phonon, other)]
    same = [phonon, *(other for other in alike if other.method == own.id)]
    length = amplitude(phonon)
    for other in alike:
        theirs = amplitude(other)
        if other.method != own.id:
            partner = next((one for one in same if amplitude(one) == theirs), None)
            if partner is not None:
                yield partner, other, Varied.PRECISION, (own.dtype, methods[other.method].dtype)
        elif None not in (length, theirs) and length != theirs:
            yield phonon, other, Varied.DISPLACEMENT, (f"{length:g} A", f"{theirs:g} A")


def _other_precisions(db: Database, method: Any) -> list[ModelMethod]:
    """The same weights evaluated in another floating point type."""
    if not isinstance(method, ModelMethod):
        return []
    return [
        other
        for other in db.methods.find(weights=method.weights)
        if other.dtype != method.dtype
        and all(getattr(other, name) == getattr(method, name) for name in WHAT_A_MODEL_IS)
    ]


def _alike(phonon: Phonon, other: Phonon) -> bool:
    """Whether two phonons are of one structure, supercell and protocol but for the numerics."""
    started = phonon.initial_structure or phonon.structure
    same_start = (other.initial_structure or other.structure) == started
    return (
        other.id != phonon.id
        and (same_start or other.structure == phonon.structure)
        and other.supercell_matrix == phonon.supercell_matrix
        and other.primitive_matrix == phonon.primitive_matrix
        and np.array_equal(other.masses, phonon.masses)
        and _settings(other) == _settings(phonon)
    )


def _settings(phonon: Phonon) -> dict[str, Any]:
    return {key: value for key, value in phonon.protocol.items() if key not in HOW_MADE}


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            yield f"{prefix}{key}", value
