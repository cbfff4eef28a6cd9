"""Symmetry of a supercell: which atoms are irreducible, and how a sum over atoms follows from them.

A quantity that is a sum over all atoms of a crystal, such as the second derivative of an energy
made of atomic energies, follows from the terms of one atom in each orbit of the space group:

    H = sum over irreducible k of n_k / |G| sum over g in G of g H_k g^-1

with n_k atoms in the orbit of k. The translations of the supercell are factored out of the group
of the unit cell, so that a supercell of many cells costs no more than its entries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from forcebase.physics.block_matrix import BlockMatrix

SYMMETRY_TOLERANCE = 1e-5
"""angstrom, phonopy's; a well relaxed structure is known no better."""

SEARCHED_WHOLE_UP_TO = 1000
"""Atoms; spglib's time grows with the square of their number: 6 s for 2,400."""

COORDINATION_RADIUS = 4.0
"""angstrom, within which neighbours are counted to tell atoms apart."""

BLOCKS_AT_ONCE = 2_000_000
"""Blocks that are summed together: 150 MB."""


@dataclass(frozen=True, eq=False)
class SupercellSymmetry:
    """A supercell and the operations that map it to itself.

    Attributes:
        supercell: in phonopy's order; its structure has the symmetry exactly.
        unit_cell: the same for the unit cell.
        moved: angstrom, the furthest that an atom was moved to make the symmetry exact.
        supercell_matrix: (3, 3) integers; supercell lattice = matrix.T @ cell.
        rotations: (n_operations, 3, 3) Cartesian, of the unit cell's group.
        permutations: (n_operations, n_supercell) index of the atom to which each is moved.
        unit_atoms: (n_supercell,) atom of the unit cell that each is an image of.
        lattice_points: (n_supercell, 3) integers, the lattice vector between the two.
        irreducible: (n,) atoms of the unit cell, one for each orbit.
        orbit_sizes: (n,) atoms of the unit cell in the orbit.
    """

    supercell: Atoms
    unit_cell: Atoms
    moved: float
    supercell_matrix: NDArray[np.int64]
    rotations: NDArray[np.float64]
    permutations: NDArray[np.int64]
    unit_atoms: NDArray[np.int64]
    lattice_points: NDArray[np.int64]
    irreducible: NDArray[np.int64]
    orbit_sizes: NDArray[np.int64]

    @property
    def unit_to_supercell(self) -> NDArray[np.int64]:
        """(n_unit,) index in the supercell of each atom of the unit cell."""
        return self.index_of(np.arange(len(self.unit_cell)), np.zeros((1, 3), dtype=np.int64))

    def index_of(
        self, unit_atoms: NDArray[np.int64], lattice_points: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Index in the supercell of images of atoms of the unit cell; any lattice point."""
        keys = _keys(lattice_points, self.supercell_matrix) * len(self.unit_cell) + unit_atoms
        own = _keys(self.lattice_points, self.supercell_matrix) * len(self.unit_cell)
        own = own + self.unit_atoms
        order = np.argsort(own)
        return order[np.searchsorted(own[order], keys)]

    def sum_over_crystal(self, terms: BlockMatrix) -> BlockMatrix:
        """Sum the terms of all atoms, given those of the irreducible ones.

        Args:
            terms: (n_supercell, n_supercell) blocks, the terms of each irreducible atom (its
                image in the unit cell at the origin) times its orbit size.

        Returns:
            compact: (n_unit, n_supercell) blocks, a row for each atom of the unit cell.
        """
        compact = self._fold(terms)
        n_operations = len(self.rotations)
        rows = self.unit_to_supercell[compact.rows]
        at_once = max(1, BLOCKS_AT_ONCE // max(1, len(rows)))
        total = None
        for start in range(0, n_operations, at_once):
            some = slice(start, start + at_once)
            rotations, permutations = self.rotations[some, None], self.permutations[some]
            images = rotations @ compact.blocks @ rotations.swapaxes(-1, -2) / n_operations
            folded = self._fold(
                BlockMatrix(
                    shape=terms.shape,
                    rows=permutations[:, rows].ravel(),
                    columns=permutations[:, compact.columns].ravel(),
                    blocks=images.reshape(-1, 3, 3),
                )
            )
            total = folded if total is None else total.plus(folded)
        assert total is not None  # the identity is always among the operations
        return total

    def unfold(self, compact: BlockMatrix) -> BlockMatrix:
        """Give all rows of a supercell from those of its unit cell."""
        n = len(self.supercell)
        compact = compact.summed()  # its rows are sorted then
        ends = np.searchsorted(compact.rows, np.arange(len(self.unit_cell) + 1))
        picked = [np.arange(ends[atom], ends[atom + 1]) for atom in self.unit_atoms]
        rows = np.repeat(np.arange(n), [len(entries) for entries in picked])
        entries = np.concatenate(picked)
        columns = compact.columns[entries]
        return BlockMatrix(
            shape=(n, n),
            rows=rows,
            columns=self.index_of(
                self.unit_atoms[columns], self.lattice_points[columns] + self.lattice_points[rows]
            ),
            blocks=compact.blocks[entries],
        )

    def _fold(self, matrix: BlockMatrix) -> BlockMatrix:
        """Move every entry by a lattice vector, so that its row is an atom of the unit cell."""
        shifts = self.lattice_points[matrix.rows]
        columns = matrix.columns
        return BlockMatrix(
            shape=(len(self.unit_cell), matrix.shape[1]),
            rows=self.unit_atoms[matrix.rows],
            columns=self.index_of(self.unit_atoms[columns], self.lattice_points[columns] - shifts),
            blocks=matrix.blocks,
        ).summed()


def supercell_symmetry(
    atoms: Atoms, supercell_matrix: ArrayLike, tolerance: float = SYMMETRY_TOLERANCE
) -> SupercellSymmetry:
    """Find the symmetry of a supercell of `atoms`, and make it exact.

    Args:
        atoms: unit cell; primitive or not.
        supercell_matrix: (3, 3) integers, phonopy's convention. Operations that do not map the
            supercell's lattice to itself are left out.
        tolerance: angstrom; 0 asks for no symmetry but the supercell's translations.
    """
    matrix = np.asarray(supercell_matrix, dtype=np.int64)
    rotations, translations = _operations(atoms, matrix, tolerance)
    exact, moved = _made_exact(atoms, rotations, translations)
    supercell, unit_atoms, points = _supercell(exact, matrix)
    bare = SupercellSymmetry(
        supercell=supercell,
        unit_cell=exact,
        moved=moved,
        supercell_matrix=matrix,
        rotations=_cartesian(rotations, exact.cell.array),
        permutations=np.empty((0, len(supercell)), dtype=np.int64),
        unit_atoms=unit_atoms,
        lattice_points=points,
        irreducible=np.arange(len(exact)),
        orbit_sizes=np.ones(len(exact), dtype=np.int64),
    )
    images = [_images(exact, r, t) for r, t in zip(rotations, translations, strict=True)]
    permutations = [
        bare.index_of(to[unit_atoms], points @ rotation.T + jump[unit_atoms])
        for rotation, (to, jump) in zip(rotations, images, strict=True)
    ]
    first = np.min([to for to, _ in images], axis=0)
    irreducible, sizes = np.unique(first, return_counts=True)
    return replace(
        bare, permutations=np.array(permutations), irreducible=irreducible, orbit_sizes=sizes
    )


def _operations(
    atoms: Atoms, matrix: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rotations and translations in the unit cell's fractional coordinates."""
    import spglib

    found = None
    whole = len(atoms) <= SEARCHED_WHOLE_UP_TO
    if tolerance > 0:
        searched = atoms if whole else _rarest(atoms)
        cell = (atoms.cell.array, searched.get_scaled_positions(), searched.numbers)
        found = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    if found is None:
        return np.eye(3, dtype=np.int64)[None], np.zeros((1, 3))
    rotations = np.asarray(found.rotations, dtype=np.int64)
    translations = np.asarray(found.translations)
    # Lattice vectors of the supercell are columns of `matrix` in the basis of the unit cell.
    moved = np.linalg.solve(matrix, rotations @ matrix)
    kept = np.abs(moved - np.round(moved)).max(axis=(1, 2)) < 1e-8
    if not whole:
        pairs = zip(rotations, translations, strict=True)
        kept &= [_maps(atoms, r, t, tolerance) for r, t in pairs]
    return rotations[kept], translations[kept]


def _rarest(atoms: Atoms) -> Atoms:
    """The smallest group of atoms that are alike in element and coordination.

    Its symmetry holds that of all atoms, and more; both are groups, and so is what is left when
    each operation is tried on all atoms.
    """
    from matscipy.neighbours import neighbour_list

    counts = np.bincount(neighbour_list("i", atoms, COORDINATION_RADIUS), minlength=len(atoms))
    kinds = atoms.numbers * (counts.max() + 1) + counts
    _, kind, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    return atoms[kind == sizes.argmin()]


def _maps(
    atoms: Atoms, rotation: NDArray[np.int64], translation: NDArray[np.float64], tolerance: float
) -> bool:
    own = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
    to, jump = _images(atoms, rotation, translation)
    apart = (own @ rotation.T + translation - own[to] - jump) @ atoms.cell.array
    same = np.array_equal(atoms.numbers, atoms.numbers[to]) and len(np.unique(to)) == len(to)
    return bool(same and np.linalg.norm(apart, axis=1).max() < tolerance)


def _cartesian(rotations: NDArray[np.int64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cell.T @ rotations @ np.linalg.inv(cell.T))


def _images(
    atoms: Atoms, rotation: NDArray[np.int64], translation: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where an operation takes each atom: an atom of the unit cell and a lattice point."""
    from scipy.spatial import cKDTree

    own = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
    taken = own @ rotation.T + translation
    tree = cKDTree(own % 1 % 1, boxsize=1)  # twice: a tiny negative number gives 1 once
    _, to = tree.query(taken % 1 % 1)
    return to, np.round(taken - own[to]).astype(np.int64)


def _made_exact(
    atoms: Atoms, rotations: NDArray[np.int64], translations: NDArray[np.float64]
) -> tuple[Atoms, float]:
    """Average cell and positions over the group; the cell changes by a pure strain."""
    exact = atoms.copy()
    cell = atoms.cell.array
    metric = np.mean([r.T @ cell @ cell.T @ r for r in rotations], axis=0)
    inverse = np.linalg.inv(cell)
    values, vectors = np.linalg.eigh(inverse @ metric @ inverse.T)
    exact.set_cell(cell @ (vectors * np.sqrt(values)) @ vectors.T, scale_atoms=True)
    own = np.linalg.solve(cell.T, atoms.positions.T).T
    translations = _exact_translations(own, atoms, rotations, translations)
    total = np.zeros_like(own)
    for rotation, translation in zip(rotations, translations, strict=True):
        to, jump = _images(atoms, rotation, translation)
        back = np.linalg.inv(rotation)
        total += (own[to] + jump - translation) @ back.T
    exact.positions = total / len(rotations) @ exact.cell.array
    return exact, float(np.linalg.norm(exact.positions - atoms.positions, axis=1).max())


def _exact_translations(
    own: NDArray[np.float64],
    atoms: Atoms,
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Translations that fit the atoms on average: spglib's carry the noise of single atoms."""
    found = []
    for rotation, translation in zip(rotations, translations, strict=True):
        to, jump = _images(atoms, rotation, translation)
        found.append(np.mean(own[to] + jump - own @ rotation.T, axis=0))
    return np.array(found)


def _supercell(
    atoms: Atoms, matrix: NDArray[np.int64]
) -> tuple[Atoms, NDArray[np.int64], NDArray[np.int64]]:
    from phonopy.structure.atoms import PhonopyAtoms
    from phonopy.structure.cells import get_supercell

    unit = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, positions=atoms.positions)
    made = get_supercell(unit, matrix)
    number = {int(s): u for u, s in enumerate(made.u2s_map)}
    unit_atoms = np.array([number[int(s)] for s in made.s2u_map])
    inverse = np.linalg.inv(atoms.cell.array)
    points = np.round((made.positions - atoms.positions[unit_atoms]) @ inverse).astype(np.int64)
    positions = atoms.positions[unit_atoms] + points @ atoms.cell.array
    supercell = Atoms(numbers=made.numbers, cell=matrix.T @ atoms.cell.array, positions=positions)
    supercell.pbc = True
    return supercell, unit_atoms, points


def _keys(points: NDArray[np.int64], matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each class of lattice points that the supercell's lattice makes equal."""
    volume = round(abs(np.linalg.det(matrix)))
    adjugate = np.round(np.linalg.inv(matrix) * volume).astype(np.int64)
    coordinates = (points @ adjugate.T) % volume
    return np.asarray((coordinates[:, 0] * volume + coordinates[:, 1]) * volume + coordinates[:, 2])
