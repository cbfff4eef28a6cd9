"""Symmetry against a model whose force constants are known: springs between all atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, mx2
from numpy.typing import NDArray
from phonopy.structure.atoms import PhonopyAtoms
from phonopy.structure.cells import get_supercell

from forcebase.physics import irreducible_atoms
from forcebase.physics.block_matrix import BlockMatrix
from forcebase.physics.irreducible_atoms import SupercellSymmetry, supercell_symmetry

CUTOFF = 4.2


def layer() -> Atoms:
    atoms = mx2("WSe2", a=3.31, thickness=3.36, vacuum=8)
    atoms.pbc = True
    return atoms


def vacancy(size: int = 3) -> Atoms:
    atoms = layer().repeat((size, size, 1))
    del atoms[2]
    return atoms


def spring_terms(atoms: Atoms, centers: NDArray[np.int64]) -> dict[int, NDArray[np.float64]]:
    """Center -> (n, n, 3, 3): springs from it to all atoms and images within the cutoff."""
    from ase.neighborlist import neighbor_list

    firsts, seconds, vectors = neighbor_list("ijD", atoms, CUTOFF)
    found = {int(c): np.zeros((len(atoms), len(atoms), 3, 3)) for c in centers}
    for i, j, vector in zip(firsts, seconds, vectors, strict=True):
        if int(i) not in found:
            continue
        length = np.linalg.norm(vector)
        strength = atoms.numbers[i] * atoms.numbers[j] * np.exp(-length)
        block = strength * np.outer(vector, vector) / length**2
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            found[int(i)][a, b] += sign * block
    return found


def from_irreducible(symmetry: SupercellSymmetry) -> NDArray[np.float64]:
    """Compact force constants of springs, (n_unit, n_supercell, 3, 3)."""
    centers = symmetry.unit_to_supercell[symmetry.irreducible]
    terms = spring_terms(symmetry.supercell, centers)
    total = sum(size * terms[int(c)] for c, size in zip(centers, symmetry.orbit_sizes, strict=True))
    rows, columns = np.nonzero(np.abs(total).max(axis=(2, 3)))
    matrix = BlockMatrix(total.shape[:2], rows, columns, total[rows, columns])
    return symmetry.sum_over_crystal(matrix).dense()


@pytest.mark.parametrize(
    ("atoms", "matrix", "n_irreducible"),
    [
        (layer(), [3, 3, 1], 2),
        (layer(), [3, 2, 1], 2),
        (layer(), [[2, 1, 0], [-1, 1, 0], [0, 0, 1]], 2),
        (vacancy(), [1, 1, 1], 10),
        (vacancy(2), [2, 1, 1], None),
        (layer().repeat((3, 3, 1)), [1, 1, 1], 2),
        (bulk("NaCl", "rocksalt", a=5.6, cubic=True), [1, 1, 1], 2),
        (bulk("Si"), [2, 2, 2], 1),
        (
            Atoms("WSe", positions=[[0, 0, 0], [1.9, 1.2, 0.7]], cell=[3, 4, 5], pbc=True),
            [2] * 3,
            2,
        ),
    ],
)
def test_the_sum_over_all_atoms_follows_from_the_irreducible(atoms, matrix, n_irreducible) -> None:
    matrix = np.diag(matrix) if np.ndim(matrix) == 1 else np.array(matrix)
    symmetry = supercell_symmetry(atoms, matrix)
    if n_irreducible is not None:
        assert len(symmetry.irreducible) == n_irreducible
    assert symmetry.orbit_sizes.sum() == len(atoms)
    assert symmetry.moved < 1e-9
    supercell = symmetry.supercell
    full = sum(spring_terms(supercell, np.arange(len(supercell))).values())
    compact = from_irreducible(symmetry)
    np.testing.assert_allclose(compact, full[symmetry.unit_to_supercell], atol=1e-9)

    rows, columns = np.nonzero(np.abs(compact).max(axis=(2, 3)) > 0)
    blocks = BlockMatrix(compact.shape[:2], rows, columns, compact[rows, columns])
    np.testing.assert_allclose(symmetry.unfold(blocks).dense(), full, atol=1e-9)


def test_the_supercell_is_in_phonopys_order() -> None:
    atoms = layer()
    matrix = np.array([[2, 1, 0], [-1, 1, 0], [0, 0, 1]])
    symmetry = supercell_symmetry(atoms, matrix)
    unit = PhonopyAtoms(numbers=atoms.numbers, cell=atoms.cell.array, positions=atoms.positions)
    expected = get_supercell(unit, matrix)
    np.testing.assert_allclose(symmetry.supercell.cell.array, expected.cell, atol=1e-9)
    np.testing.assert_array_equal(symmetry.supercell.numbers, expected.numbers)
    apart = symmetry.supercell.get_scaled_positions() - expected.scaled_positions
    np.testing.assert_allclose(apart - np.round(apart), 0, atol=1e-9)
    np.testing.assert_array_equal(symmetry.unit_to_supercell, expected.u2s_map)


def test_noise_is_taken_out_of_positions_and_cell() -> None:
    noisy = vacancy()
    rng = np.random.default_rng(3)
    noisy.positions += rng.normal(scale=1e-7, size=noisy.positions.shape)
    noisy.set_cell(noisy.cell.array * (1 + 1e-8 * rng.normal(size=(3, 3))), scale_atoms=True)
    symmetry = supercell_symmetry(noisy, np.eye(3, dtype=int))
    assert len(symmetry.rotations) == 6
    assert 1e-8 < symmetry.moved < 2e-6
    exact = symmetry.supercell
    for rotation, permutation in zip(symmetry.rotations, symmetry.permutations, strict=True):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        for one, other in ((3, 8), (0, 20)):
            before = exact.get_distance(one, other, mic=True, vector=True)
            after = exact.get_distance(*permutation[[one, other]], mic=True, vector=True)
            np.testing.assert_allclose(rotation @ before, after, atol=1e-12)


@pytest.mark.parametrize("atoms", [vacancy(5), layer().repeat((3, 3, 1))])
def test_a_large_cell_is_searched_by_its_rarest_atoms(atoms, monkeypatch) -> None:
    whole = supercell_symmetry(atoms, np.eye(3, dtype=int))
    monkeypatch.setattr(irreducible_atoms, "SEARCHED_WHOLE_UP_TO", 10)
    found = supercell_symmetry(atoms, np.eye(3, dtype=int))
    assert len(found.rotations) == len(whole.rotations)
    expected = {tuple(permutation) for permutation in whole.permutations}
    assert {tuple(permutation) for permutation in found.permutations} == expected
    np.testing.assert_array_equal(found.irreducible, whole.irreducible)


def test_no_tolerance_means_no_symmetry() -> None:
    symmetry = supercell_symmetry(layer(), np.diag([3, 3, 1]), tolerance=0)
    assert len(symmetry.rotations) == 1
    assert symmetry.irreducible.tolist() == [0, 1, 2]
    full = sum(spring_terms(symmetry.supercell, np.arange(27)).values())
    np.testing.assert_allclose(
        from_irreducible(symmetry), full[symmetry.unit_to_supercell], atol=1e-9
    )


def test_a_translation_of_the_supercell_reaches_every_image() -> None:
    symmetry = supercell_symmetry(layer(), np.diag([4, 3, 1]))
    again = symmetry.index_of(symmetry.unit_atoms, symmetry.lattice_points + np.array([8, -3, 5]))
    np.testing.assert_array_equal(again, np.arange(36))
