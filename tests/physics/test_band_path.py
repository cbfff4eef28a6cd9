from pathlib import Path

import ase.io
import numpy as np
import pytest

from forcebase.errors import InputError
from forcebase.physics.band_path import band_path

DATA = Path(__file__).parents[2] / "data" / "wse2_gpaw"
IN_Z = (False, False, True)
A = 3.31
ANGLE_120 = np.array([[A, 0, 0], [-A / 2, A * np.sqrt(3) / 2, 0], [0, 0, 16]])
ANGLE_60 = np.array([[A, 0, 0], [A / 2, A * np.sqrt(3) / 2, 0], [0, 0, 16]])


def wave_vectors(path, cell):
    return path.q_points @ (2 * np.pi * np.linalg.inv(cell).T)


def test_path_of_the_dft_unit_cell():
    cell = ase.io.read(DATA / "wse2_gpaw_unitcell.extxyz").cell.array
    path = band_path(cell, IN_Z)
    assert path.labels == ("G", "M", "K", "G")
    special = path.q_points[list(path.label_indices)]
    expected = [[0, 0, 0], [1 / 2, 0, 0], [1 / 3, 1 / 3, 0], [0, 0, 0]]
    np.testing.assert_allclose(special, expected, atol=1e-12)
    assert path.segments == ((0, len(path.q_points)),)


@pytest.mark.parametrize("cell", [ANGLE_120, ANGLE_60], ids=["120", "60"])
def test_hexagonal_corners_are_where_theory_has_them(cell):
    path = band_path(cell, IN_Z)
    m, k = (wave_vectors(path, cell)[i] for i in path.label_indices[1:3])
    g_m, m_k, k_g = 2 * np.pi / (np.sqrt(3) * A), 2 * np.pi / (3 * A), 4 * np.pi / (3 * A)
    assert np.linalg.norm(m) == pytest.approx(g_m)
    assert np.linalg.norm(k) == pytest.approx(k_g)
    np.testing.assert_allclose(path.label_distances, np.cumsum([0, g_m, m_k, k_g]), atol=1e-9)
    # K is a corner of the zone: as far from Gamma as from two other reciprocal vectors.
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    grid = np.array([[i, j, 0] for i in range(-2, 3) for j in range(-2, 3)]) @ reciprocal
    assert np.isclose(np.linalg.norm(grid - k, axis=1), k_g).sum() == 3


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        (np.diag([3, 3, 16]), "GXMG"),
        (np.diag([3, 4, 16]), "GXSYG"),
        ([[3, 0, 0], [0.7, 4, 0], [0, 0, 16]], "GYHC"),
    ],
    ids=["square", "rectangular", "oblique"],
)
def test_other_layers(cell, labels):
    path = band_path(cell, IN_Z)
    assert "".join(path.labels).startswith(labels)
    assert not path.q_points[:, 2].any()


def test_vacuum_may_lie_along_any_axis():
    turned = ANGLE_120[[2, 0, 1]]
    path = band_path(turned, (True, False, False))
    assert path.labels == ("G", "M", "K", "G")
    assert not path.q_points[:, 0].any()


@pytest.mark.parametrize("size", [1, 12])
def test_a_relaxed_layer_slightly_off_is_still_hexagonal_and_a_strained_one_is_not(size):
    strain = np.array([[2e-4, 1e-4, 0], [1e-4, -1e-4, 0], [0, 0, 0]])
    cell = np.diag([size, size, 1]) @ ANGLE_120
    assert band_path(cell @ (np.eye(3) + strain), IN_Z).labels == ("G", "M", "K", "G")
    assert band_path(cell @ (np.eye(3) + 50 * strain), IN_Z).labels != ("G", "M", "K", "G")


@pytest.mark.parametrize("density", [5.0, 40.0, 200.0])
def test_distances_are_lengths_of_path_and_points_lie_as_dense_as_asked(density):
    path = band_path(ANGLE_120, IN_Z, density)
    steps = np.linalg.norm(np.diff(wave_vectors(path, ANGLE_120), axis=0), axis=1)
    np.testing.assert_allclose(np.diff(path.distances), steps, atol=1e-12)
    assert steps.max() < 1.5 / density


def test_bulk_path_jumps_without_adding_length():
    fcc = np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0]])
    path = band_path(fcc)
    assert path.labels[:4] == ("G", "X", "W", "K")
    assert len(path.segments) == 2
    jump = path.segments[1][0]
    assert path.distances[jump] == path.distances[jump - 1]
    assert np.abs(path.q_points[jump] - path.q_points[jump - 1]).max() > 0.1


def test_what_has_no_standard_path_is_refused():
    slanted = ANGLE_120.copy()
    slanted[2] = [1, 0, 16]
    with pytest.raises(InputError, match="not normal"):
        band_path(slanted, IN_Z)
    with pytest.raises(InputError, match="molecule"):
        band_path(ANGLE_120, (True, True, True))
    with pytest.raises(InputError, match="no volume"):
        band_path(np.zeros((3, 3)))


def test_both_sides_of_a_jump_are_named_at_one_place():
    """fcc: seekpath's and Setyawan's path jumps from U to K, or from K or U to X."""
    path = band_path(3.61 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]))
    names = [name for _, name in path.ticks]
    assert path.name == "G-X-W-K-G-L-U-W-L-K|U-X"
    assert names == path.name.split("-")
    places = [place for place, _ in path.ticks]
    assert len(set(np.round(places, 9))) == len(places)
    start = path.segments[1][0]
    assert path.distances[start] == path.distances[start - 1]
    assert not np.allclose(path.q_points[start], path.q_points[start - 1])


def test_a_polar_path_comes_to_gamma_along_each_of_its_ways():
    cell = 3.61 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    plain, polar = band_path(cell), band_path(cell, polar=True)
    assert polar.name == plain.name
    assert polar.ticks == plain.ticks
    assert len(polar.q_points) == len(plain.q_points) + 1
    assert len(polar.segments) == len(plain.segments) + 1
    at_gamma = np.flatnonzero(~polar.q_points.any(axis=1))
    assert (np.linalg.norm(polar.directions, axis=1) > 0).nonzero()[0].tolist() == at_gamma.tolist()
    ways = {way: index for index, way in polar.gamma_points()}
    assert list(ways) == ["G-X", "G-K", "G-L"]
    for way, index in ways.items():
        corner = polar.q_points[polar.label_indices[polar.labels.index(way[-1])]]
        direction = polar.directions[index]
        np.testing.assert_allclose(np.cross(direction, corner), 0, atol=1e-12)
