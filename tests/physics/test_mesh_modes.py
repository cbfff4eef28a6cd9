from __future__ import annotations

import numpy as np
import pytest

from forcebase.physics.mesh_modes import irreducible_mesh, solve

POINTS = [(0, 0, 0), (0.5, 0, 0), (0.5, 0.5, 0), (1, 0, 0), (0.13, 0.27, 0), (1 / 3, 1 / 3, 0)]


@pytest.fixture(params=["pristine", "vacancy"])
def crystal(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("with_vectors", [True, False])
def test_frequencies_are_phonopys(crystal, with_vectors):
    crystal.phonopy.run_qpoints(POINTS)
    expected = np.sort(crystal.phonopy.qpoints.frequencies, axis=1)
    found = list(solve(crystal, POINTS, with_vectors=with_vectors))
    for modes, point, frequencies in zip(found, POINTS, expected, strict=True):
        np.testing.assert_array_equal(modes.q_point, point)
        # Near zero a rounding of the eigenvalue is the square of the frequency's.
        np.testing.assert_allclose(
            modes.frequencies * np.abs(modes.frequencies),
            frequencies * np.abs(frequencies),
            atol=1e-9,
        )
        assert modes.eigenvectors.shape[2] == len(frequencies) * with_vectors


def test_vectors_solve_phonopys_dynamical_matrix(crystal):
    """At Gamma, at the zone boundary, where the matrix is made real, and elsewhere."""
    for modes in solve(crystal, POINTS):
        crystal.phonopy.dynamical_matrix.run(modes.q_point)
        matrix = crystal.phonopy.dynamical_matrix.dynamical_matrix
        vectors = modes.eigenvectors.reshape(len(matrix), -1)
        np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(len(matrix)), atol=1e-9)
        values = np.sign(modes.frequencies) * (modes.frequencies / 15.633302300230191) ** 2
        np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-9)
    assert np.isrealobj(next(solve(crystal, (0, 0, 0))).eigenvectors)


def test_irreducible_points_stand_for_the_whole_mesh(crystal):
    mesh = (6, 6, 1)
    points, weights = irreducible_mesh(crystal, mesh)
    every, one_each = irreducible_mesh(crystal, mesh, symmetry=False)
    assert weights.sum() == pytest.approx(1)
    crystal.phonopy.run_mesh(mesh, is_gamma_center=True)
    assert len(points) == len(crystal.phonopy.mesh.weights) < len(every) < 36

    def moments(q_points, shares):
        found = [m.frequencies for m in solve(crystal, q_points, with_vectors=False)]
        return [float(shares @ (np.array(found) ** n).sum(axis=1)) for n in (1, 2, 3, 4)]

    assert moments(points, weights) == pytest.approx(moments(every, one_each), rel=1e-7)


def test_the_number_at_once_changes_nothing(vacancy):
    points, _ = irreducible_mesh(vacancy, (5, 5, 1))
    one, three = (list(solve(vacancy, points, at_once=n)) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_allclose(a.frequencies, b.frequencies, atol=1e-7)
        np.testing.assert_allclose(a.eigenvectors, b.eigenvectors, atol=1e-12)
