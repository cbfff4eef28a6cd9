"""Many structures at once, as columns, on their way into the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray

from forcebase.database.bson_layout import documents
from forcebase.database.record_rows import fill_rows
from forcebase.digest import structure_digests
from forcebase.frames import Frames
from forcebase.physics.periodicity import MIN_GAP, largest_gaps
from forcebase.records import Structure

STRUCTURES_AT_ONCE = 4000
"""Structures laid out and sent together: 5 MB of 12 atoms each."""


@dataclass(frozen=True)
class StructureTable:
    """Structures without a recipe, as a file of frames holds them.

    Attributes:
        frames: of which ids and labels are not looked at; a family of "" makes the structure the
            root of its own.
    """

    frames: Frames

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """(n,) ids of the records, in the order of the frames."""
        frames = self.frames
        found = np.empty(len(frames), dtype="U64")
        for some, rows in self._by_size():
            found[some] = structure_digests(
                frames.numbers[rows], frames.cells[some], frames.positions[rows], frames.pbc[some]
            )
        return found

    def documents(self, activity: str | None) -> Iterator[list[RawBSONDocument]]:
        """Yield the stored form of the records, some at a time, as `Structure` would give it.

        Raises:
            InputError: a cell has no volume, or a number is not finite.
        """
        ids = self.ids
        # by id, as the index has them; a geometry that comes twice is one record, the first
        _, first = np.unique(ids, return_index=True)
        for members in self._by_shape(first):
            for start in range(0, len(members), STRUCTURES_AT_ONCE):
                yield list(
                    documents(
                        self._rows(np.array(members[start : start + STRUCTURES_AT_ONCE]), activity)
                    )
                )

    def _rows(self, some: NDArray[np.int64], activity: str | None) -> NDArray[Any]:
        frames, ids = self.frames, self.ids
        rows = self._offsets[some][:, None] + np.arange(frames.n_atoms[some[0]])
        families = np.where(frames.families[some] == "", ids[some], frames.families[some])
        columns = {
            "cell.data": frames.cells[some].astype("<f8").reshape(len(some), 9),
            "positions.data": frames.positions[rows].astype("<f8").reshape(len(some), -1),
            "family": families.astype("S"),
        }
        atoms = next(frames.take(some[:1]).atoms())
        kind = str(frames.kinds[some[0]])
        record = Structure.from_atoms(atoms, family=str(families[0]), kind=kind)
        record.provenance.activity = activity
        return fill_rows(record, columns, ids[some].astype("S64"))

    def _by_size(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield structures of equally many atoms, (m,), and their rows, (m, n)."""
        for n in np.unique(self.frames.n_atoms):
            some = np.flatnonzero(self.frames.n_atoms == n)
            yield some, self._offsets[some][:, None] + np.arange(n)

    def _by_shape(self, chosen: NDArray[np.int64]) -> Iterable[list[int]]:
        """Those that differ in nothing but columns, together."""
        frames = self.frames
        vacuum = np.empty((len(frames), 3), dtype=bool)
        for some, rows in self._by_size():
            vacuum[some] = largest_gaps(frames.cells[some], frames.positions[rows]) >= MIN_GAP
        bounds, family_sizes = self._offsets.tolist(), np.char.str_len(frames.families)
        flags = np.hstack([frames.pbc, vacuum])
        groups: dict[tuple, list[int]] = {}
        for i in chosen.tolist():
            numbers = frames.numbers[bounds[i] : bounds[i + 1]].tobytes()
            shape = (numbers, flags[i].tobytes(), frames.kinds[i], family_sizes[i] or 64)
            groups.setdefault(shape, []).append(i)
        return groups.values()

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return self.frames.offsets
