"""Many labelled structures as columns: the shape in which batches travel and are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from forcebase.blob import Blob


@dataclass(frozen=True)
class Frames:
    """n structures with N atoms in all, and, where known, their labels.

    Attributes:
        ids: (n,) calculation ids, or structure ids where there are no labels yet.
        structures: (n,) structure ids.
        families: (n,) family ids, the ancestry by which splits are made.
        kinds: (n,) configuration kinds such as "pristine-2x2"; "" where unknown.
        methods: (n,) method ids; "" where there are no labels.
        n_atoms: (n,) atoms per structure; `numbers`, `positions`, `forces` are the
            structures' rows one after another.
        numbers: (N,) atomic numbers.
        positions: (N, 3) angstrom.
        cells: (n, 3, 3) lattice vectors as rows, angstrom.
        pbc: (n, 3) booleans.
        energies: (n,) eV, NaN where unknown.
        forces: (N, 3) eV/angstrom, NaN where unknown.
        stresses: (n, 6) eV/angstrom^3, ASE Voigt order, tension positive, NaN where unknown.
    """

    ids: NDArray[np.str_]
    structures: NDArray[np.str_]
    families: NDArray[np.str_]
    kinds: NDArray[np.str_]
    methods: NDArray[np.str_]
    n_atoms: NDArray[np.int64]
    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n + 1,) first row of each structure in the per-atom columns."""
        return np.concatenate([[0], np.cumsum(self.n_atoms)]).astype(np.int64)

    @property
    def owners(self) -> NDArray[np.int64]:
        """(N,) index of the structure that each atom belongs to."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """Give the structures at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        rows = atom_rows(self.n_atoms, chosen)
        per_atom = {"numbers", "positions", "forces"}
        columns = {
            f.name: getattr(self, f.name)[rows if f.name in per_atom else chosen]
            for f in fields(self)
        }
        return replace(self, **columns)

    def atoms(self) -> Iterator[Atoms]:
        """Yield each structure as ASE Atoms, without labels."""
        offsets = self.offsets
        for i in range(len(self)):
            rows = slice(offsets[i], offsets[i + 1])
            yield Atoms(
                self.numbers[rows], self.positions[rows], cell=self.cells[i], pbc=self.pbc[i]
            )

    def to_blob(self) -> Blob:
        """Pack all columns, exactly, for the road."""
        return Blob.from_arrays(**{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def from_blob(cls, blob: Blob) -> Frames:
        """Unpack what `to_blob` packed."""
        return cls(**blob.arrays())

    @classmethod
    def from_atoms(
        cls,
        atoms: Sequence[Atoms],
        *,
        ids: Sequence[str],
        structures: Sequence[str] | None = None,
        families: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        energies: Sequence[float] | None = None,
        forces: Sequence[NDArray[np.float64]] | None = None,
        stresses: Sequence[NDArray[np.float64]] | None = None,
    ) -> Frames:
        """Build from ASE Atoms; labels that are not given are NaN, names that are not are ""."""
        n = len(atoms)
        n_atoms = np.array([len(a) for a in atoms], dtype=np.int64)
        total = int(n_atoms.sum())

        def names(values: Sequence[str] | None, default: Sequence[str]) -> NDArray[np.str_]:
            return np.array(list(default if values is None else values), dtype=np.str_)

        blank = [""] * n
        return cls(
            ids=names(ids, blank),
            structures=names(structures, ids),
            families=names(families, blank),
            kinds=names(kinds, blank),
            methods=names(methods, blank),
            n_atoms=n_atoms,
            numbers=_stack([a.numbers for a in atoms], (total,), np.int64),
            positions=_stack([a.positions for a in atoms], (total, 3), np.float64),
            cells=np.array([a.cell.array for a in atoms], dtype=float).reshape(n, 3, 3),
            pbc=np.array([a.pbc for a in atoms], dtype=bool).reshape(n, 3),
            energies=np.array(np.full(n, np.nan) if energies is None else energies, dtype=float),
            forces=np.full((total, 3), np.nan)
            if forces is None
            else _stack(forces, (total, 3), np.float64),
            stresses=np.full((n, 6), np.nan)
            if stresses is None
            else np.array(stresses, dtype=float).reshape(n, 6),
        )


def atom_rows(n_atoms: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the atoms of the structures at `indices`, where structures lie one after another."""
    sizes = n_atoms[indices]
    starts = (np.cumsum(n_atoms) - n_atoms)[indices]
    shifts = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    return np.arange(int(sizes.sum())) + shifts


def _stack(parts: Sequence, shape: tuple[int, ...], dtype: type) -> NDArray:
    return np.concatenate(parts).astype(dtype) if len(parts) else np.empty(shape, dtype)
