"""The chain rule against two backward passes through MACE's own code, for all kinds of models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms
from numpy.typing import NDArray

from forcebase.models.hessian_rows import ForceGraph
from forcebase.models.mace_calculator import LoadedModel
from forcebase.models.mace_hessian import hessian
from forcebase.models.mace_hessian.graph import build_graph
from forcebase.models.mace_hessian.hessian import node_shares, region, take_apart
from forcebase.models.mace_hessian.support import obstacle


@pytest.fixture
def crooked() -> Atoms:
    """Five atoms without any symmetry, in a cell smaller than the cutoff."""
    return Atoms(
        "WSe2WSe",
        cell=[[3.9, 0.1, 0], [-0.6, 4.2, 0.2], [0.3, 0.1, 5.3]],
        scaled_positions=[
            [0.02, 0.01, 0.0],
            [0.51, 0.45, 0.08],
            [0.97, 0.52, 0.43],
            [0.49, 0.03, 0.51],
            [0.12, 0.88, 0.77],
        ],
        pbc=True,
    )


def whole_hessian(model: LoadedModel, atoms: Atoms) -> NDArray[np.float64]:
    """(n, n, 3, 3) by rows through MACE's own forward."""
    forces = ForceGraph(model.network, build_graph(atoms, model))
    rows = [[forces.row(i, axis) for axis in range(3)] for i in range(len(atoms))]
    return np.array(rows).transpose(0, 2, 1, 3)


def chained_hessian(
    model: LoadedModel, atoms: Atoms, dtype: torch.dtype = torch.float64
) -> NDArray[np.float64]:
    graph = build_graph(atoms, model)
    parts = take_apart(model.network, graph)
    found = np.zeros((len(atoms), len(atoms), 3, 3))
    for share in node_shares(parts, graph, np.arange(len(atoms)), dtype):
        found[np.ix_(share.atoms, share.atoms)] += share.block
    return found


def density_block() -> Any:
    from mace.modules import interaction_classes

    return interaction_classes["RealAgnosticDensityInteractionBlock"]


def residual_block() -> Any:
    from mace.modules import interaction_classes

    return interaction_classes["RealAgnosticResidualInteractionBlock"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_irreps": "4x0e", "correlation": 3},
        {"hidden_irreps": "3x0e + 3x1o + 3x2e", "correlation": 3, "max_ell": 3},
        {"num_interactions": 1},
        {"num_interactions": 3},
        {"pair_repulsion": True},
        {"correlation": 1},
        {"heads": ["pbe", "r2scan"], "atomic_energies": [[-3.0, -5.0]] * 2}
        | {"atomic_inter_scale": [1.3, 0.9], "atomic_inter_shift": [0.1, 0.2]},
        {"use_last_readout_only": True},
        {"distance_transform": "Agnesi"},
        {"apply_cutoff": False},
    ],
    ids=lambda changes: "+".join(changes) or "default",
)
def test_equals_the_full_hessian(random_model, crooked, changes) -> None:
    model = random_model(**changes)
    expected = whole_hessian(model, crooked)
    found = chained_hessian(model, crooked)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_first_layer_with_a_residual_connection(random_model, crooked) -> None:
    model = random_model(interaction_cls_first=residual_block())
    expected = whole_hessian(model, crooked)
    np.testing.assert_allclose(chained_hessian(model, crooked), expected, rtol=0, atol=1e-11)


def test_float32_products_are_close_and_not_equal(random_model, crooked) -> None:
    model = random_model()
    exact = chained_hessian(model, crooked)
    fast = chained_hessian(model, crooked, torch.float32)
    error = np.abs(fast - exact).max()
    assert 1e-12 < error < 2e-6 * np.abs(exact).max()


def test_sum_rule_and_index_symmetry_hold_for_every_atom_s_terms(random_model, crooked) -> None:
    model = random_model(correlation=3)
    graph = build_graph(crooked, model)
    parts = take_apart(model.network, graph)
    shares = list(node_shares(parts, graph, np.arange(len(crooked)), torch.float64))
    assert len(shares) == 2 * len(crooked)
    for share in shares:
        np.testing.assert_allclose(share.block.sum(axis=1), 0, atol=1e-12)
        np.testing.assert_allclose(share.block, share.block.transpose(1, 0, 3, 2), atol=1e-12)


def test_a_cut_out_gives_the_same_terms_as_the_whole(random_model, crooked) -> None:
    model = random_model(num_interactions=2, r_max=3.0)
    atoms = crooked.repeat((5, 4, 3))
    graph = build_graph(atoms, model)
    parts = take_apart(model.network, graph)
    centers = np.array([7, 8, 150])
    cut = region(parts, graph, centers)
    assert cut.n_atoms < graph.n_atoms
    assert (np.diff(cut.first_edges) == 0).any(), "atoms of the fringe receive nothing"
    local = np.searchsorted(cut.atoms, centers)
    of_cut = list(node_shares(parts, cut, local, torch.float64))
    of_whole = list(node_shares(parts, graph, centers, torch.float64))
    assert len(of_cut) == len(of_whole) == 6
    for one, other in zip(of_cut, of_whole, strict=True):
        assert one.center == other.center
        np.testing.assert_array_equal(one.atoms, other.atoms)
        np.testing.assert_allclose(one.block, other.block, atol=1e-12)


def test_atoms_without_neighbors_are_free(random_model) -> None:
    model = random_model(pair_repulsion=True)
    atoms = Atoms("SeWSe", positions=[[1, 1, 1], [9, 9, 9], [9, 9, 11.3]], cell=[16] * 3, pbc=True)
    found = chained_hessian(model, atoms)
    assert np.isfinite(found).all()
    assert not found[0].any()
    assert np.abs(found[1, 2]).max() > 1e-3
    np.testing.assert_allclose(found, whole_hessian(model, atoms), atol=1e-11)


def test_nodes_are_worked_off_in_groups(random_model, crooked, monkeypatch) -> None:
    model = random_model()
    at_once = chained_hessian(model, crooked)
    monkeypatch.setattr(hessian, "NODES_AT_ONCE", 2)
    np.testing.assert_allclose(chained_hessian(model, crooked), at_once, atol=1e-12)


def test_obstacles_are_named(random_model) -> None:
    assert obstacle(random_model().network) is None
    dense = random_model(interaction_cls_first=density_block())
    assert "RealAgnosticDensityInteractionBlock" in str(obstacle(dense.network))
    assert "Linear" in str(obstacle(torch.nn.Linear(1, 1)))
