"""Many calculations of one method at once, as columns, on their way into the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

from forcebase.database.bson_layout import documents
from forcebase.database.database import Database
from forcebase.database.record_rows import ContentText, fill_rows, quoted, row_digests
from forcebase.errors import InputError, NotFoundError
from forcebase.frames import Frames
from forcebase.records import Calculation, Method, Structure
from forcebase.records.calculation import BY_INPUTS, FARTHEST

CALCULATIONS_AT_ONCE = 4000
"""Calculations laid out and sent together: 6 MB of 12 atoms each."""
FACTS = {"formula": 1, "chemical_formula_reduced": 1, "elements": 1, "kind": 1, "n_atoms": 1}
OPEN = (("structure",), ("energy",), ("forces",))


class StructureFacts(NamedTuple):
    """What a calculation's record repeats of its structure's."""

    formula: str
    chemical_formula_reduced: str
    elements: tuple[str, ...]
    kind: str
    n_atoms: int


@dataclass(frozen=True)
class LabelTable:
    """Converged calculations of one method.

    Attributes:
        method: its record.
        frames: structures and labels; a stress of NaN where there is none.
        facts: structure id -> what the records repeat of it.
        wall_times: (n,) s; None where unknown.
    """

    method: Method
    frames: Frames
    facts: Mapping[str, StructureFacts]
    wall_times: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def of(
        cls,
        db: Database,
        method: Method,
        frames: Frames,
        wall_times: NDArray[np.float64] | None = None,
    ) -> LabelTable:
        """Take what the records repeat of the structures from the database.

        Raises:
            NotFoundError: a structure is not there.
        """
        wanted = set(frames.structures.tolist())
        facts = {row["_id"]: _facts(row) for row in db.structures.by_ids(wanted, FACTS)}
        if missing := wanted - facts.keys():
            raise NotFoundError(
                f"{len(missing)} of {len(wanted)} labelled structures are not in the database.",
                hint="Collect or import first what made them.",
                missing=sorted(missing)[:5],
            )
        return cls(method, frames, facts, wall_times)

    def take(self, rows: NDArray[np.int64]) -> LabelTable:
        """Those at `rows`."""
        times = None if self.wall_times is None else np.asarray(self.wall_times)[rows]
        return replace(self, frames=self.frames.take(rows), wall_times=times)

    def label(self, i: int) -> tuple[float, NDArray[np.float64], NDArray[np.float64] | None]:
        """Energy in eV, forces (n, 3) in eV/angstrom, and stress (6,) or None where unknown."""
        frames = self.frames
        rows = slice(self._offsets[i], self._offsets[i + 1])
        stress = frames.stresses[i]
        known = bool(np.isfinite(stress).all())
        return float(frames.energies[i]), frames.forces[rows], stress if known else None

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return self.frames.offsets

    def documents(self, activity: str | None) -> Iterator[list[RawBSONDocument]]:
        """Yield the stored form of the records, some at a time, as `Calculation` would give it.

        Raises:
            InputError: a label is NaN, infinite or of the wrong shape, or a structure has not so
                many atoms; nothing was yielded then.
        """
        self.check()
        groups: dict[tuple, list[int]] = {}
        with_stress = np.asarray(np.isfinite(self.frames.stresses).any(axis=1)).tolist()
        # neighbours in the indexes, which are by structure, are written together
        for i in np.argsort(self.frames.structures).tolist():
            facts = self.facts[str(self.frames.structures[i])]
            groups.setdefault((facts, with_stress[i]), []).append(i)
        for (facts, stressed), members in groups.items():
            for start in range(0, len(members), CALCULATIONS_AT_ONCE):
                some = np.array(members[start : start + CALCULATIONS_AT_ONCE])
                yield list(documents(self._rows(some, facts, stressed, activity)))

    def _rows(
        self, some: NDArray[np.int64], facts: StructureFacts, stressed: bool, activity: str | None
    ) -> NDArray:
        frames, n = self.frames, facts.n_atoms
        rows = (frames.offsets[some][:, None] + np.arange(n)).ravel()
        forces = np.ascontiguousarray(frames.forces[rows], dtype="<f8").reshape(len(some), n * 3)
        structures = frames.structures[some].astype("S64")
        energies = frames.energies[some].astype("<f8")
        stresses = frames.stresses[some].astype("<f8")
        record = self._record(some[0], facts, stressed, activity)
        columns = {
            "structure": structures,
            "energy": energies,
            "energy_per_atom": energies / n,
            "forces.data": forces,
            "max_force": np.linalg.norm(forces.reshape(-1, n, 3), axis=2).max(axis=1),
            "provenance.edges.0.record": structures,
        }
        if stressed:
            columns["stress.data"] = stresses
        if self.wall_times is not None:
            columns["wall_time"] = np.asarray(self.wall_times)[some].astype("<f8")
        if record.identity == BY_INPUTS:
            paths, values = [("prediction", "structure")], [quoted(structures)]
        else:
            paths = [("calculation", *path) for path in (*OPEN, *[("stress",)] * stressed)]
            # + 0.0 turns -0.0 into 0.0, as the canonical form does
            values = [
                quoted(structures),
                [repr(e) for e in (energies + 0.0).tolist()],
                *[
                    quoted(row_digests(labels + 0.0))
                    for labels in (forces, stresses)[: 1 + stressed]
                ],
            ]
        digests = ContentText(record.content(), paths).digests(*values)
        return fill_rows(record, columns, digests)

    def _record(
        self, first: np.int64, facts: StructureFacts, stressed: bool, activity: str | None
    ) -> Calculation:
        """One of them, made and checked by its class."""
        frames = self.frames
        rows = slice(frames.offsets[first], frames.offsets[first + 1])
        structure = Structure(
            id=str(frames.structures[first]),
            formula=facts.formula,
            chemical_formula_reduced=facts.chemical_formula_reduced,
            elements=list(facts.elements),
            kind=facts.kind,
            n_atoms=facts.n_atoms,
        )
        wall_time = None if self.wall_times is None else float(self.wall_times[first])
        record = Calculation.of(
            structure,
            self.method,
            energy=float(frames.energies[first]),
            forces=frames.forces[rows],
            stress=frames.stresses[first] if stressed else None,
            wall_time=wall_time,
        )
        record.provenance.activity = activity
        return record

    def check(self) -> None:
        """Refuse all where one cannot be written.

        Raises:
            InputError: a label is NaN, infinite, beyond what any atom has or of the wrong shape,
                or a structure has not so many atoms.
        """
        frames = self.frames
        sizes = [self.facts[structure].n_atoms for structure in frames.structures.tolist()]
        if not np.array_equal(frames.n_atoms, sizes) or frames.forces.shape != (sum(sizes), 3):
            raise InputError("The labels do not have as many atoms as their structures.")
        bad = ~np.isfinite(frames.energies)
        bad |= np.isnan(frames.stresses).any(axis=1) & ~np.isnan(frames.stresses).all(axis=1)
        bad |= np.isinf(frames.stresses).any(axis=1)
        bad[frames.owners[~np.isfinite(frames.forces).all(axis=1)]] = True
        if self.wall_times is not None:
            bad |= ~np.isfinite(self.wall_times)
        self._refuse(bad, "that is not a number")
        far = np.abs(frames.energies) > FARTHEST * np.maximum(frames.n_atoms, 1)
        far |= (np.abs(frames.stresses) > FARTHEST).any(axis=1)  # false where there is none
        far[frames.owners[(np.abs(frames.forces) > FARTHEST).any(axis=1)]] = True
        self._refuse(far, f"beyond {FARTHEST:.0e} eV an atom, eV/angstrom or eV/angstrom^3")

    def _refuse(self, bad: NDArray[np.bool_], why: str) -> None:
        if bad.any():
            first = str(self.frames.structures[np.argmax(bad)])
            raise InputError(
                f"{int(bad.sum())} of {len(bad)} calculations have a label {why}.",
                hint=f"The first is of structure {first[:10]}.",
                structure=first,
            )


def _facts(row: Mapping[str, Any]) -> StructureFacts:
    kind = row.get("kind", "")
    return StructureFacts(
        row["formula"],
        row["chemical_formula_reduced"],
        tuple(row["elements"]),
        kind,
        row["n_atoms"],
    )
