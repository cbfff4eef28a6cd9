"""Labels of one method as columns, read from the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.database.pieces import IDS_AT_ONCE
from forcebase.database.raw_rows import read_rows
from forcebase.errors import DatabaseError, NotFoundError
from forcebase.frames import atom_rows
from forcebase.physics.energy_kinds import EnergyKind

BY_STRUCTURE = "method_1_structure_1__id_1"
"""Index that gives the calculations of a method in the order of their structures."""
LABELS = {
    "_id": "S",
    "structure": "S",
    "energy": "<f8",
    "free_energy": "<f8",
    "forces.dtype": "S",
    "forces.data": "<f8",
    "stress.dtype": "S",
    "stress.data": "<f8",
}
LARGEST_NUMBER = 255


@dataclass(frozen=True)
class LabelColumns:
    """n calculations of one method with N atoms in all, by structure and then by id.

    Attributes:
        ids: (n,) of the calculations, 64 hex digits.
        structures: (n,) ids.
        n_atoms: (n,); `numbers` and `forces` are the structures' rows one after another.
        numbers: (N,) atomic numbers.
        energies: (n,) eV, whole cell; the free energy where a record has both.
        forces: (N, 3) eV/angstrom.
        stresses: (n, 6) eV/angstrom^3, ASE Voigt order, tension positive; NaN where unknown.
    """

    ids: NDArray[np.bytes_]
    structures: NDArray[np.bytes_]
    n_atoms: NDArray[np.int64]
    numbers: NDArray[np.uint8]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: NDArray[np.int64]) -> LabelColumns:
        """Give the calculations at `indices`, in that order."""
        rows = atom_rows(self.n_atoms, indices)
        columns = {
            f.name: getattr(self, f.name)[rows if f.name in ("numbers", "forces") else indices]
            for f in fields(self)
        }
        return LabelColumns(**columns)

    @classmethod
    def joined(cls, parts: Sequence[LabelColumns]) -> LabelColumns:
        """One after another."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


def in_range(method: str, prefix: str) -> dict[str, Any]:
    """Query: calculations of a method whose structures' ids begin with `prefix`."""
    return {"method": method, "structure": {"$gte": prefix, "$lt": f"{prefix}g"}}


def read_labels(db: Database, method: str, prefix: str) -> LabelColumns:
    """Read the calculations of a method whose structures' ids begin with `prefix`.

    Raises:
        NotFoundError: a structure is not in the database.
        DatabaseError: a record has not the form of a record.
    """
    found = read_rows(db.calculations.raw, in_range(method, prefix), LABELS, BY_STRUCTURE)
    parts = [_of_rows(rows) for rows in found]
    sizes = np.array([size for _, size in parts], dtype=np.int64).repeat([len(r) for r, _ in parts])
    ids = joined([rows["_id"] for rows, _ in parts], "S64")
    structures = joined([rows["structure"] for rows, _ in parts], "S64")
    order = np.lexsort((ids, structures))
    forces = joined([array_column(rows, "forces").ravel() for rows, _ in parts], "<f8").reshape(
        -1, 3
    )
    stresses = [label_stresses(rows) for rows, _ in parts]
    unsorted = LabelColumns(
        ids=ids,
        structures=structures,
        n_atoms=sizes,
        numbers=_numbers(db, structures, sizes),
        energies=joined([label_energies(rows) for rows, _ in parts], "<f8"),
        forces=forces,
        stresses=joined(stresses, "<f8").reshape(-1, 6),
    )
    return unsorted.take(order)


def _of_rows(rows: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Rows of one shape, and how many atoms it has."""
    return rows, array_column(rows, "forces").shape[1] // 3


def array_column(rows: NDArray[Any], name: str, dtype: str = "<f8") -> NDArray[Any]:
    """Arrays of records of one shape, (n, items); raises DatabaseError where there are none."""
    names = rows.dtype.names or ()
    if f"{name}.data" not in names or (rows[f"{name}.dtype"] != dtype.encode()).any():
        raise DatabaseError(
            f"The {name} of a record cannot be read.", hint="Run `forcebase verify`."
        )
    found: NDArray[Any] = rows[f"{name}.data"]
    return found


def label_energies(rows: NDArray[Any], kind: EnergyKind = EnergyKind.FREE) -> NDArray[np.float64]:
    """(n,) energies of calculations of one shape, of this kind where they have both."""
    both = "free_energy" in (rows.dtype.names or ()) and kind is EnergyKind.FREE
    return np.asarray(rows["free_energy" if both else "energy"], dtype=float)


def label_stresses(rows: NDArray[Any]) -> NDArray[np.float64]:
    """(n, 6) stresses of calculations of one shape; NaN where it has none."""
    if "stress.data" in (rows.dtype.names or ()):
        return array_column(rows, "stress")
    return np.full((len(rows), 6), np.nan)


def joined(parts: Sequence[NDArray[Any]], dtype: str) -> NDArray[Any]:
    """One after another, of this type where there are none."""
    return np.concatenate([*parts, np.empty((0, *parts[0].shape[1:]) if parts else 0, dtype)])


def _numbers(
    db: Database, structures: NDArray[np.bytes_], sizes: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Atomic numbers of all atoms, in the order of `structures`."""
    wanted, place = np.unique(structures, return_inverse=True)
    found = np.zeros((len(wanted), int(sizes.max(initial=0))), dtype=np.uint8)
    known = np.zeros(len(wanted), dtype=np.int64)
    for rows in _structure_rows(db, wanted):
        at, numbers = np.searchsorted(wanted, rows["_id"]), rows["numbers.data"]
        if numbers.shape[1] > found.shape[1] or (numbers > LARGEST_NUMBER).any():
            raise DatabaseError(
                "A structure does not have the atoms of its calculation.",
                hint="Run `forcebase verify`.",
            )
        found[at, : numbers.shape[1]] = numbers
        known[at] = numbers.shape[1]
    if (known == 0).any():
        missing = wanted[known == 0]
        raise NotFoundError(
            f"{len(missing)} of {len(wanted)} structures are not in the database, "
            f"as {missing[0].decode()[:10]}.",
            hint="Collect or import again what they came from.",
            structure=missing[0].decode(),
        )
    if (known[place] != sizes).any():
        raise DatabaseError(
            "A structure does not have the atoms of its calculation.",
            hint="Run `forcebase verify`.",
        )
    filled = np.arange(found.shape[1]) < known[:, None]
    return found[place][filled[place]]


def _structure_rows(db: Database, wanted: NDArray[np.bytes_]) -> Iterator[NDArray[Any]]:
    ids = wanted.astype(str).tolist()
    columns = {"_id": "S", "numbers.data": "<i8"}
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = {"_id": {"$in": ids[start : start + IDS_AT_ONCE]}}
        yield from read_rows(db.structures.raw, some, columns)
