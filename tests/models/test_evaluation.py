from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from forcebase.errors import ModelError
from forcebase.frames import Frames
from forcebase.models import evaluation
from forcebase.models.evaluation import evaluate


def frames_of(*atoms: Atoms) -> Frames:
    return Frames.from_atoms(atoms, ids=[f"s{i}" for i in range(len(atoms))])


def test_batched_equals_one_by_one_and_the_calculator(labelled, model) -> None:
    some = labelled.take([0, 30, 1, 40, 60, 2, len(labelled) - 1, 10])
    assert len(set(some.n_atoms)) > 1
    told: list[tuple[int, int]] = []
    found = evaluate(some, model, lambda done, total: told.append((done, total)))
    offsets = some.offsets
    for i, atoms in enumerate(some.atoms()):
        alone = evaluate(some.take([i]), model).frames
        rows = slice(offsets[i], offsets[i + 1])
        atoms.calc = model.calculator()
        for other in (
            (alone.energies[0], alone.forces, alone.stresses[0]),
            (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()),
        ):
            assert found.frames.energies[i] == pytest.approx(other[0], abs=1e-10)
            np.testing.assert_allclose(found.frames.forces[rows], other[1], atol=1e-10)
            np.testing.assert_allclose(found.frames.stresses[i], other[2], atol=1e-10)
    assert told[-1] == (8, 8)
    assert (found.wall_times > 0).all()
    assert list(found.frames.ids) == list(some.ids)


def test_batches_are_full_and_hold_every_structure_once(labelled) -> None:
    batches = list(evaluation._batches(labelled, "cpu"))
    assert [first for first, _ in batches] == [0, *(last for _, last in batches[:-1])]
    assert batches[-1][1] == len(labelled)
    atoms = [int(labelled.n_atoms[first:last].sum()) for first, last in batches]
    assert max(atoms) <= evaluation.ATOMS_PER_BATCH
    assert len(atoms) < len(labelled) / 3


def test_no_structures_give_no_labels(unit_cells, model) -> None:
    found = evaluate(unit_cells.take([]), model)
    assert len(found.frames) == len(found.wall_times) == 0


def test_forces_and_stress_are_derivatives_of_the_energy(unit_cells, model) -> None:
    atoms = next(unit_cells.take([3]).atoms())
    labels = evaluate(frames_of(atoms), model).frames
    step = 1e-4
    moved = [atoms.copy(), atoms.copy()]
    for sign, cell in zip((1, -1), moved, strict=True):
        cell.positions[1, 2] += sign * step
    plus, minus = evaluate(frames_of(*moved), model).frames.energies
    assert labels.forces[1, 2] == pytest.approx(-(plus - minus) / (2 * step), abs=1e-6)

    for component, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        strained = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            cell = atoms.copy()
            cell.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            strained.append(cell)
        plus, minus = evaluate(frames_of(*strained), model).frames.energies
        derivative = (plus - minus) / (2 * step) / atoms.get_volume()
        # A shear of e in both ij and ji is 2e in Voigt's notation; the halves undo that.
        assert labels.stresses[0, component] == pytest.approx(derivative, abs=1e-7)


def test_a_layer_that_is_not_periodic_has_the_stress_of_the_periodic_one(unit_cells, model) -> None:
    layer = replace(unit_cells, pbc=np.tile([True, True, False], (len(unit_cells), 1)))
    open_, closed = evaluate(layer, model).frames, evaluate(unit_cells, model).frames
    np.testing.assert_allclose(open_.stresses, closed.stresses, atol=1e-12)
    np.testing.assert_allclose(open_.forces, closed.forces, atol=1e-12)
    assert (open_.pbc == layer.pbc).all()
    atoms = next(layer.atoms())
    atoms.calc = model.calculator()
    np.testing.assert_allclose(atoms.get_stress(), closed.stresses[0], atol=1e-10)


def test_too_little_vacuum_is_refused(unit_cells, model) -> None:
    atoms = next(unit_cells.atoms())
    atoms.pbc = (True, True, False)
    atoms.cell[2, 2] = 7.0
    with pytest.raises(ModelError, match="of vacuum in a direction that is not periodic"):
        evaluate(frames_of(atoms), model)


def test_energy_and_forces_follow_the_symmetries_of_space(labelled, model) -> None:
    """Permutation, translation over a boundary and rotation of a vacancy cell of 11 atoms."""
    frames = labelled.take([int(np.flatnonzero(labelled.n_atoms == 11)[0])])
    atoms = next(frames.atoms())
    order = np.random.default_rng(0).permutation(len(atoms))
    moved = atoms.copy()
    moved.translate([1.3, -2.1, 7.9])
    moved.wrap()
    turned = atoms.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    rotation = np.linalg.solve(atoms.cell.array, turned.cell.array)  # row vectors: v -> v R

    found = evaluate(frames_of(atoms, atoms[order], moved, turned), model).frames
    np.testing.assert_allclose(found.energies, found.energies[0], atol=1e-9)
    given, permuted, shifted, rotated = found.forces.reshape(4, 11, 3)
    np.testing.assert_allclose(permuted, given[order], atol=1e-9)
    np.testing.assert_allclose(shifted, given, atol=1e-9)
    np.testing.assert_allclose(rotated, given @ rotation, atol=1e-9)
    np.testing.assert_allclose(given.sum(axis=0), 0, atol=1e-9)

    first, last = (voigt_6_to_full_3x3_stress(found.stresses[i]) for i in (0, 3))
    np.testing.assert_allclose(last, rotation.T @ first @ rotation, atol=1e-10)


def test_the_energy_is_extensive(unit_cells, model) -> None:
    atoms = next(unit_cells.atoms())
    one, nine = evaluate(frames_of(atoms, atoms.repeat((3, 3, 1))), model).frames.energies
    assert nine == pytest.approx(9 * one, abs=1e-9)
