from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from forcebase.errors import InputError
from forcebase.physics.folding import folded_frequencies, folded_mesh, unfolded_points
from forcebase.physics.local_dos import layer_normal, site_dos, site_groups
from forcebase.physics.mesh_modes import solve
from forcebase.physics.shells import Shells
from forcebase.physics.vibrations import density_of_states, frequency_grid

CENTRE = (1 / 3, 1 / 6, 0.6051)
MESH = (4, 4, 1)


@pytest.fixture(scope="module")
def grid(vacancy, pristine):
    return frequency_grid([vacancy, pristine], MESH)


@pytest.fixture(scope="module")
def dos(vacancy, grid):
    return site_dos(vacancy, MESH, grid)


@pytest.fixture(scope="module")
def groups(vacancy):
    return site_groups(vacancy.primitive_atoms, CENTRE, Shells((3.0, 4.0)))


def test_every_site_has_three_degrees_of_freedom(dos):
    integrals = np.trapezoid(dos.values.sum(axis=1), dos.frequencies, axis=1)
    np.testing.assert_allclose(integrals, 3.0, rtol=1e-3)
    np.testing.assert_allclose(
        np.trapezoid(dos.values, dos.frequencies, axis=2),
        np.tile([2.0, 1.0], (11, 1)),
        rtol=1e-3,
    )


def test_sites_add_up_to_the_density_of_states_and_its_projections(dos, vacancy, grid):
    known = density_of_states(vacancy, MESH, grid)
    np.testing.assert_allclose(dos.total, known.total, atol=1e-9)
    symbols = np.array(vacancy.primitive_symbols)
    for symbol, states in known.projected.items():
        np.testing.assert_allclose(dos.of(symbols == symbol), states, atol=1e-9)


def test_shells_species_and_directions_each_add_up_to_the_total(dos, groups):
    for masks in (groups.by_shell(), groups.by_species()):
        parts = [dos.of(mask) for mask in masks.values()]
        np.testing.assert_allclose(sum(parts), dos.total, atol=1e-9)
    for mask in groups.by_shell().values():
        both = dos.of(mask, "in-plane") + dos.of(mask, "out-of-plane")
        np.testing.assert_allclose(both, dos.of(mask), atol=1e-9)


def test_the_vacancy_has_three_tungsten_neighbours_and_sides(groups):
    inner = groups.by_shell()["≤ 3 Å"]
    assert groups.symbols[inner].tolist() == ["W"] * 3
    assert list(groups.by_species()) == ["Se bottom", "Se top", "W"]
    counts = {name: int(mask.sum()) for name, mask in groups.by_species().items()}
    assert counts == {"Se bottom": 4, "Se top": 3, "W": 4}


def test_irreducible_points_with_averaged_sites_are_the_whole_mesh(vacancy, dos, grid, monkeypatch):
    """With the symmetry left out, every q-point is solved: the same site DOS comes."""
    monkeypatch.setattr("forcebase.physics.local_dos._keeps", lambda *_: False)
    np.testing.assert_allclose(site_dos(vacancy, MESH, grid).values, dos.values, atol=1e-6)


def test_an_axis_that_symmetry_turns_away_needs_the_whole_mesh(vacancy, grid):
    """Along x the sites of an orbit differ, and each still has its one state of that axis."""
    found = site_dos(vacancy, MESH, grid, axis=(1, 0, 0))
    np.testing.assert_allclose(
        np.trapezoid(found.values, found.frequencies, axis=2), np.tile([2, 1], (11, 1)), rtol=1e-3
    )
    with pytest.raises(InputError, match="not a direction"):
        site_dos(vacancy, MESH, grid, axis=(0, 0, 0))


def test_a_rotated_crystal_has_the_same_local_dos(vacancy, grid, dos):
    rotation = Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix()
    turned = replace(
        vacancy,
        cell=vacancy.cell @ rotation.T,
        positions=vacancy.positions @ rotation.T,
        force_constants=np.einsum("ax,ijxy,by->ijab", rotation, vacancy.force_constants, rotation),
    )
    np.testing.assert_allclose(layer_normal(turned.primitive_atoms), rotation[:, 2], atol=1e-9)
    np.testing.assert_allclose(site_dos(turned, MESH, grid).values, dos.values, atol=1e-4)


def test_a_folded_crystal_has_the_modes_of_its_supercell(pristine):
    """At Gamma of the 3x3 supercell stand the modes of nine q-points of the unit cell."""
    points = unfolded_points(np.diag([3, 3, 1]), (0, 0, 0))
    assert sorted(map(tuple, np.round(points * 3).astype(int).tolist())) == [
        (i, j, 0) for i in range(3) for j in range(3)
    ]
    matrix = np.diag([3, 3, 1])
    assert folded_mesh(matrix, (2, 2, 1)) == (6, 6, 1)
    q_point = (0.3, -0.1, 0.0)
    folded = folded_frequencies(pristine, matrix, q_point)[0]
    single = [
        m.frequencies for m in solve(pristine, unfolded_points(matrix, q_point), with_vectors=False)
    ]
    assert len(folded) == 81
    np.testing.assert_allclose(folded, np.sort(np.ravel(single)))


def test_a_skew_supercell_folds_too(pristine):
    """sqrt(3) x sqrt(3): three points, at Gamma they are Gamma, K and K'."""
    matrix = [[1, 1, 0], [-1, 2, 0], [0, 0, 1]]
    points = unfolded_points(matrix, (0, 0, 0))
    assert len(points) == 3
    thirds = sorted(tuple(np.round(p * 3 % 3).astype(int).tolist()) for p in points)
    assert thirds in ([(0, 0, 0), (1, 1, 0), (2, 2, 0)], [(0, 0, 0), (1, 2, 0), (2, 1, 0)])
    with pytest.raises(InputError, match="plain repetition"):
        folded_mesh(matrix, (2, 2, 1))
