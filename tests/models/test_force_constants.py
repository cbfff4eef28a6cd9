"""Force constants end to end, against finite displacements and against themselves, rotated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import mx2

from forcebase.errors import InputError, ModelError
from forcebase.models.force_constants import (
    EXACT,
    FAST,
    Method,
    compute_force_constants,
    sparse_force_constants,
)
from forcebase.models.mace_hessian import assembly, check, derivation
from forcebase.models.mace_hessian.hessian import TakenApart


@pytest.fixture
def layer() -> Atoms:
    atoms = mx2("WSe2", a=3.31, thickness=3.36, vacuum=6)
    atoms.pbc = True
    return atoms


@pytest.fixture
def vacancy(layer: Atoms) -> Atoms:
    atoms = layer.repeat((3, 3, 1))
    del atoms[2]
    return atoms


def constants(*args, **kwargs):
    return compute_force_constants(*args, **kwargs).crystal.force_constants


@pytest.mark.parametrize("matrix", [[3, 3, 1], [1, 1, 1], [2, 1, 1]])
def test_displacements_approach_it_with_the_square_of_their_length(model, layer, matrix) -> None:
    rattled = layer.copy()
    rattled.rattle(0.05, seed=2)  # without symmetry, so that phonopy displaces both ways
    exact = constants(model, rattled, matrix, symmetrize=False)
    errors = [
        np.abs(
            constants(
                model,
                rattled,
                matrix,
                method=Method.DISPLACEMENTS,
                displacement=distance,
                symmetrize=False,
            )
            - exact
        ).max()
        for distance in (0.04, 0.02)
    ]
    assert errors[0] > 1e-5
    # One-sided displacements would halve; phonopy takes both signs where symmetry does not.
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_symmetry_gives_what_all_atoms_give(random_model, vacancy, monkeypatch) -> None:
    model = random_model(correlation=3)
    with_symmetry = compute_force_constants(model, vacancy, [1, 1, 1], symmetrize=False)
    assert with_symmetry.n_centers == 10
    monkeypatch.setattr(derivation, "SYMMETRY_TOLERANCE", 0.0)
    without = compute_force_constants(model, vacancy, [1, 1, 1], symmetrize=False)
    assert without.n_centers == 26
    np.testing.assert_allclose(
        with_symmetry.crystal.force_constants,
        without.crystal.force_constants,
        atol=1e-11,
    )


def test_what_the_answer_says_of_itself(model, vacancy) -> None:
    told: list[tuple[int, int]] = []
    found = compute_force_constants(
        model,
        vacancy,
        [1, 1, 1],
        n_checked_rows=3,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert (found.method, found.reason, found.precision) == (Method.ANALYTIC, None, "float64")
    assert (found.n_centers, found.n_displacements) == (10, 0)
    assert len(found.check.rows) == 3
    assert found.check.row_error < EXACT / 1e3
    assert found.check.probe_error < EXACT / 1e3
    assert found.sum_rule_error < 1e-11
    assert found.symmetry_error < 1e-11
    assert found.moved < 1e-9
    assert set(found.seconds) == {"symmetry", "graph", "terms", "check", "symmetrization"}
    assert told[-1] == (20, 20)


def test_symmetrization_changes_nothing_that_is_exact(model, layer) -> None:
    bare = constants(model, layer, [3, 3, 1], symmetrize=False)
    np.testing.assert_allclose(constants(model, layer, [3, 3, 1]), bare, atol=1e-11)


def test_a_rotated_structure_has_rotated_force_constants(model, vacancy) -> None:
    turned = vacancy.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    rotation = np.linalg.solve(vacancy.cell.array, turned.cell.array).T
    expected = rotation @ constants(model, vacancy, [1, 1, 1]) @ rotation.T
    np.testing.assert_allclose(constants(model, turned, [1, 1, 1]), expected, atol=1e-9)


def test_a_supercell_equals_its_cell_taken_as_a_unit_cell(model, layer) -> None:
    compact = compute_force_constants(model, layer, [3, 3, 1])
    made = compact.crystal.phonopy.supercell
    cell = Atoms(numbers=made.numbers, cell=made.cell, positions=made.positions, pbc=True)
    full = constants(model, cell, [1, 1, 1])
    rows = compact.crystal.phonopy.primitive.p2s_map
    np.testing.assert_allclose(full[rows], compact.crystal.force_constants, atol=1e-9)


def test_fast_is_in_float32_and_within_its_tolerance(random_model, vacancy) -> None:
    model = random_model()
    exact = constants(model, vacancy, [1, 1, 1])
    fast = compute_force_constants(model, vacancy, [1, 1, 1], tolerance=FAST)
    assert fast.precision == "float32"
    error = np.abs(fast.crystal.force_constants - exact).max()
    assert 1e-13 < error < FAST


def test_a_float32_model_is_differentiated_in_float64(random_model, layer) -> None:
    model = random_model("float32")
    found = compute_force_constants(model, layer, [2, 2, 1])
    assert found.precision == "float64"
    assert found.check.row_error < 1e-11
    assert next(model.network.parameters()).dtype == torch.float32


def test_torch_is_left_as_it_was(model, layer) -> None:
    before = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    compute_force_constants(model, layer, [1, 1, 1], threads=1)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (before[0], torch.float32)
    torch.set_default_dtype(before[1])


def test_a_layer_that_is_not_periodic_across(model, layer) -> None:
    expected = constants(model, layer, [2, 2, 1])
    layer.pbc = (True, True, False)
    np.testing.assert_allclose(constants(model, layer, [2, 2, 1]), expected, atol=1e-11)


def dense_model(random_model):
    from mace.modules import interaction_classes

    return random_model(
        interaction_cls_first=interaction_classes["RealAgnosticDensityInteractionBlock"]
    )


def test_other_models_fall_back_to_displacements(random_model, layer) -> None:
    model = dense_model(random_model)
    found = compute_force_constants(model, layer, [2, 2, 1])
    assert found.method is Method.DISPLACEMENTS
    assert "RealAgnosticDensityInteractionBlock" in str(found.reason)
    assert found.n_displacements > 0
    assert found.check is None
    assert found.crystal.force_constants.shape == (3, 12, 3, 3)
    with pytest.raises(ModelError, match="RealAgnosticDensity"):
        compute_force_constants(model, layer, [2, 2, 1], method="analytic")
    with pytest.raises(ModelError, match="RealAgnosticDensity"):
        sparse_force_constants(model, layer, [2, 2, 1])


def test_a_wrong_row_is_noticed_and_displacements_are_taken(
    random_model, layer, monkeypatch
) -> None:
    """One hop too few, which is the mistake that a cut-out invites."""
    model = random_model()
    monkeypatch.setattr(TakenApart, "hops", property(lambda self: 1))
    found = compute_force_constants(model, layer, [4, 4, 1])
    assert found.method is Method.DISPLACEMENTS
    assert "sampled rows are off by" in str(found.reason)
    with pytest.raises(ModelError, match="sampled rows are off by"):
        compute_force_constants(model, layer, [4, 4, 1], method=Method.ANALYTIC)


def test_nan_is_never_within_a_tolerance() -> None:
    assert check.RowCheck([], 0.0, None).within(EXACT)
    assert not check.RowCheck([(0, 0)], float("nan"), None).within(EXACT)
    assert not check.RowCheck([(0, 0)], 0.0, float("nan")).within(EXACT)
    assert "nan" in check.RowCheck([(0, 0)], 0.0, float("nan")).failure(EXACT)


def test_float64_is_tried_where_float32_is_not_enough(model, vacancy, monkeypatch) -> None:
    tried: list[torch.dtype] = []
    assemble = derivation.assemble

    def noting(*args, **kwargs):
        tried.append(args[3])
        return assemble(*args, **kwargs)

    monkeypatch.setattr(derivation, "assemble", noting)
    monkeypatch.setattr(derivation, "SINGLE_PRECISION_FROM", 1e-11)
    found = compute_force_constants(model, vacancy, [1, 1, 1], tolerance=1e-10)
    assert tried == [torch.float32, torch.float64]
    assert found.precision == "float64"


@pytest.mark.parametrize("whole_up_to", [10_000, 0])
def test_sparse_equals_dense(random_model, layer, monkeypatch, whole_up_to) -> None:
    model = random_model(r_max=3.0)
    monkeypatch.setattr(check, "WHOLE_UP_TO", whole_up_to)
    monkeypatch.setattr(assembly, "TILE", 9.0)
    monkeypatch.setattr(assembly, "BLOCKS_AT_ONCE", 100)
    defect = layer.repeat((6, 5, 1))
    del defect[40]
    sparse = sparse_force_constants(model, defect)
    full = constants(model, defect, [1, 1, 1], symmetrize=False)
    flat = full.transpose(0, 2, 1, 3).reshape(sparse.matrix.shape)
    np.testing.assert_allclose(sparse.matrix.toarray(), flat, atol=1e-11)
    assert sparse.matrix.nnz < 0.8 * flat.size
    assert (sparse.check.probe_error is None) == (whole_up_to == 0)
    np.testing.assert_array_equal(sparse.supercell.numbers, defect.numbers)


def test_sparse_of_a_supercell_has_all_its_rows(random_model, layer) -> None:
    model = random_model(r_max=3.0)
    sparse = sparse_force_constants(model, layer, [5, 4, 1])
    again = sparse_force_constants(model, sparse.supercell)
    np.testing.assert_allclose(sparse.matrix.toarray(), again.matrix.toarray(), atol=1e-10)


def test_what_is_refused(model, layer) -> None:
    foreign = layer.copy()
    foreign.symbols[0] = "Mo"
    with pytest.raises(ModelError, match="does not know Mo"):
        compute_force_constants(model, foreign, [1, 1, 1])
    with pytest.raises(ModelError, match="does not know Mo"):
        sparse_force_constants(model, foreign)
    with pytest.raises(InputError, match="not a supercell matrix"):
        compute_force_constants(model, layer, [1, 0, 1])
    with pytest.raises(InputError, match="not positive"):
        compute_force_constants(model, layer, [1, 1, 1], tolerance=0)
    with pytest.raises(ValueError, match="guess"):
        compute_force_constants(model, layer, [1, 1, 1], method="guess")
