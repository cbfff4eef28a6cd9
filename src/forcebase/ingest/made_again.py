"""What a model gave before and gives again: compared with the first, not written twice.

A model's answer is named by its inputs. The first that was written stays, also where it is of an
earlier schema and has another name; what differs by more than rounding is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.blob import Blob
from forcebase.database.database import Database
from forcebase.database.label_table import LabelTable
from forcebase.database.pieces import in_pieces
from forcebase.physics.reproduction import (
    LABELS,
    Deviation,
    force_constant_tolerance,
    geometry_deviation,
    label_deviation,
    largest_difference,
    relaxation_tolerance,
)
from forcebase.records import Calculation, ModelMethod, Phonon, Structure
from forcebase.records.array_field import decode_array

LABEL_FIELDS = {"structure": 1, "energy": 1, "forces": 1, "stress": 1, "provenance.activity": 1}
SHORT = 10
Finding = dict[str, Any]
Label = tuple[float, Any, Any]
"""Energy, forces, and stress or None."""


@dataclass
class MadeAgain:
    """Looks what of an activity's answers is there already, and compares.

    Attributes:
        db: the database.
        activity: whose records are to be written.
        findings: what did not come out again.
        own: collection -> ids of records that an earlier try of this activity wrote.
        unneeded: SHA-256 of blobs that no record names then.
    """

    db: Database
    activity: str
    findings: list[Finding] = field(default_factory=list)
    own: dict[str, list[str]] = field(default_factory=dict)
    unneeded: set[str] = field(default_factory=set)

    def new_rows(self, table: LabelTable) -> LabelTable:
        """Those labels of a table that are not there yet; of DFT all.

        Raises:
            InputError: a label is NaN, infinite or of the wrong shape.
        """
        if not isinstance(table.method, ModelMethod):
            return table
        table.check()
        structures = table.frames.structures.tolist()
        new = self._compare(table.method.id, structures, table.label)
        return table if len(new) == len(table) else table.take(new)

    def new_calculations(self, calculations: Sequence[Calculation]) -> list[Calculation]:
        """Those that are not there yet, and all of DFT, in their order."""
        by_model: dict[str, list[int]] = {}
        for i, calculation in enumerate(calculations):
            if calculation.method_class == "model":
                by_model.setdefault(calculation.method, []).append(i)
        kept = set(range(len(calculations)))
        for model, places in by_model.items():
            some = [calculations[i] for i in places]
            labels: list[Label] = [(c.energy, c.forces, c.stress) for c in some]
            new = self._compare(model, [c.structure for c in some], labels.__getitem__)
            kept -= set(places) - {places[i] for i in new.tolist()}
        return [calculations[i] for i in sorted(kept)]

    def look_at(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Compare stored calculations from elsewhere, which are written as they are or not at all.

        Args:
            rows: as MongoDB keeps them.
        """
        by_model: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if row.get("method_class") == "model":
                by_model.setdefault(row["method"], []).append(row)
        for model, some in by_model.items():
            labels = [_stored_label(row) for row in some]
            self._compare(model, [row["structure"] for row in some], labels.__getitem__)

    def new_phonons(self, phonons: Sequence[Phonon], blob: Callable[[str], Blob]) -> list[Phonon]:
        """Those that are not there yet, and all of DFT.

        Args:
            phonons: on their way.
            blob: gives their force constants by SHA-256.

        Raises:
            NotFoundError: the force constants of one that is there are not.
        """
        new = []
        for phonon in phonons:
            first = first_phonon(self.db, phonon)
            if first is None:
                new.append(phonon)
                continue
            if first.provenance.activity == self.activity:
                self.own.setdefault("phonons", []).append(first.id)
            if phonon.force_constants != first.force_constants:
                self.unneeded.add(phonon.force_constants)
                self._compare_phonons(first, phonon, blob(phonon.force_constants))
        return new

    def _compare(self, model: str, structures: Sequence[str], label: Any) -> NDArray[np.int64]:
        """Places of what is new; `label` gives the label at a place."""
        place: dict[str, int] = {}
        for i, structure in enumerate(structures):
            place.setdefault(structure, i)
        dtype = _dtype(self.db, model)
        tally = _Tally(model, dtype)
        known = set()
        for row in self._known(model, list(place)):
            known.add(row["structure"])
            if (row.get("provenance") or {}).get("activity") == self.activity:
                self.own.setdefault("calculations", []).append(row["_id"])
            else:
                tally.compare(row["structure"], _stored_label(row), label(place[row["structure"]]))
        for i, structure in enumerate(structures):  # one twice in what came
            if place[structure] != i:
                tally.compare(structure, label(place[structure]), label(i))
        self.findings += tally.finding()
        new = [i for structure, i in place.items() if structure not in known]
        return np.array(new, dtype=np.int64)

    def _known(self, model: str, structures: list[str]) -> Iterator[dict[str, Any]]:
        raw = self.db.calculations.raw
        if raw.find_one({"method": model}, {"_id": 1}) is None:
            return
        for piece in in_pieces({"method": model, "structure": {"$in": structures}}):
            yield from raw.find(piece, LABEL_FIELDS)

    def _compare_phonons(self, first: Phonon, again: Phonon, mine: Blob) -> None:
        stored = Blob(self.db.blobs.get(first.force_constants)).arrays()["force_constants"]
        apart = largest_difference(stored, mine.arrays()["force_constants"])
        allowed = force_constant_tolerance(_dtype(self.db, again.method), again.protocol)
        if apart <= allowed:
            return
        self.findings.append(
            {
                "kind": "phonon",
                "model": again.method,
                "record": first.id,
                "force_constants_eV_per_A2": _finite(apart),
                "tolerance": {"force_constants_eV_per_A2": allowed},
                "message": f"model {again.method[:SHORT]} does not reproduce itself: the force "
                f"constants of phonon {first.id[:SHORT]}, made again, are off by up to "
                f"{apart:.1e} eV/A^2 (tolerance {allowed:.0e}); the first stay",
            }
        )


class _Tally:
    """Predictions of one model, compared with the first."""

    def __init__(self, model: str, dtype: str) -> None:
        self._model, self._dtype, self._tolerance = model, dtype, LABELS[dtype]
        self._n = 0
        self._off: list[tuple[float, str, Deviation]] = []

    def compare(self, structure: str, first: Label, again: Label) -> None:
        """Count one in."""
        self._n += 1
        found = label_deviation(first, again, self._tolerance)
        if not found.is_within(self._tolerance):
            self._off.append((max(found.energy, found.force, found.stress), structure, found))

    def finding(self) -> list[Finding]:
        """One, of all that are off; none where all are within tolerance."""
        if not self._off:
            return []
        _, structure, _ = max(self._off, key=lambda one: (one[0], one[1]))
        found = [deviation for _, _, deviation in self._off]
        energy = max(one.energy for one in found)
        force = max(one.force for one in found)
        stress = max(one.stress for one in found)
        allowed = min(one.allowed for one in found)
        tolerance = self._tolerance
        message = (
            f"model {self._model[:SHORT]} does not reproduce itself: {len(found):,} of {self._n:,} "
            f"predictions that were made again are off by up to {energy:.1e} eV/atom and "
            f"{force:.1e} eV/A (tolerance {allowed:.0e} and {tolerance.force:.0e}, {self._dtype}), "
            f"as of structure {structure[:SHORT]}; the first stay"
        )
        return [
            {
                "kind": "prediction",
                "model": self._model,
                "record": structure,
                "n": len(found),
                "compared": self._n,
                "energy_eV_per_atom": _finite(energy),
                "force_eV_per_A": _finite(force),
                "stress_eV_per_A3": _finite(stress),
                "tolerance": {
                    "energy_eV_per_atom": allowed,
                    "force_eV_per_A": tolerance.force,
                    "stress_eV_per_A3": tolerance.stress,
                },
                "message": message,
            }
        ]


def first_phonon(db: Database, phonon: Phonon) -> Phonon | None:
    """A model's phonon of the same inputs that is there already, the first of several."""
    if phonon.method_class != "model":
        return None
    wanted = phonon.inputs()
    same_start = [{"initial_structure": phonon.start}, {"structure": phonon.start}]
    for found in db.phonons.find({"$or": same_start}, method=phonon.method, sort="created_at"):
        inputs = found.inputs()
        masses = largest_difference(inputs.pop("masses"), wanted["masses"])
        if masses < 1e-9 and all(wanted[key] == value for key, value in inputs.items()):
            return found
    return None


def first_relaxation(db: Database, relaxed: Structure) -> Structure | None:
    """What the same relaxation gave before, the first of several; None where there is none.

    One that did not converge is the same only after as many steps, and where it is as far.

    Args:
        db: the database.
        relaxed: with the recipe that it would be written with.
    """
    wanted = dict(relaxed.recipe["parameters"])
    asked = {"recipe.parent": relaxed.recipe["parent"], "recipe.operation": "relax"}
    for found in db.structures.find(asked, sort="created_at"):
        parameters = dict(found.recipe["parameters"])
        if not wanted["converged"]:
            if parameters == wanted and relaxation_apart(db, found, relaxed, None) is None:
                return found
        elif {**parameters, "steps": None} == {**wanted, "steps": None}:
            return found
    return None


def relaxation_apart(
    db: Database, first: Structure, again: Structure, energy: float | None
) -> Finding | None:
    """Compare two ends of one relaxation; None where they are one within tolerance.

    Args:
        db: the database.
        first: that is there.
        again: with its recipe.
        energy: eV, at the end of the second.
    """
    parameters = again.recipe["parameters"]
    model, fmax = parameters["method"], float(parameters.get("fmax_eV_per_A") or 0.0)
    tolerance = relaxation_tolerance(_dtype(db, model), fmax)
    length, strain = geometry_deviation(
        (first.cell, again.cell), (first.positions, again.positions)
    )
    before = db.calculations.one(method=model, structure=first.id)
    apart = 0.0
    if before is not None and energy is not None:
        apart = largest_difference(before.energy, energy) / first.n_atoms
    found = {"energy_eV_per_atom": apart, "length_A": length, "strain": strain}
    allowed = {
        "energy_eV_per_atom": tolerance.energy,
        "length_A": tolerance.length,
        "strain": tolerance.strain,
    }
    if all(found[key] <= allowed[key] for key in found):
        return None
    message = (
        f"model {model[:SHORT]} does not reproduce itself: the relaxation of structure "
        f"{again.recipe['parent'][:SHORT]}, made again, ends {length:.1e} A, a strain of "
        f"{strain:.1e} and {apart:.1e} eV/atom from the first, {first.id[:SHORT]} (tolerance "
        f"{tolerance.length:.0e}, {tolerance.strain:.0e} and {tolerance.energy:.0e})"
    )
    return {
        "kind": "relaxation",
        "model": model,
        "record": first.id,
        **{key: _finite(value) for key, value in found.items()},
        "tolerance": allowed,
        "message": message,
    }


def _dtype(db: Database, model: str) -> str:
    found = db.methods.raw.find_one({"_id": model}, {"dtype": 1}) or {}
    return str(found.get("dtype") or "float64")


def _stored_label(row: Mapping[str, Any]) -> Label:
    stress = row.get("stress")
    return row["energy"], decode_array(row["forces"]), stress and decode_array(stress)


def _finite(value: float) -> float | None:
    """MongoDB keeps no infinity where a schema says a number."""
    return value if np.isfinite(value) else None
