"""Stability where force constants are certain, and where they are interpolated."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import fcc111
from phonopy.harmonic.dynmat_to_fc import DynmatToForceConstants
from small_phonons import copper, displaced, solved

from forcebase.physics.harmonic_crystal import HarmonicCrystal
from forcebase.physics.mesh_modes import ROOT_TO_THZ
from forcebase.physics.stability import commensurate_points, instability, stability

X = ([0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5])


def softened_at_x(made, depth):
    """The same crystal with all modes at the three X points lowered to `depth` THz, imaginary."""
    back = DynmatToForceConstants(made.primitive, made.supercell, is_full_fc=False)
    matrices, n = [], 0
    for point in back.commensurate_points:
        made.dynamical_matrix.run(point)
        matrix = np.array(made.dynamical_matrix.dynamical_matrix)
        wrapped = np.abs(point) % 1
        if any(np.allclose(wrapped, x) for x in X):
            matrix = -np.eye(len(matrix)) * (depth / ROOT_TO_THZ) ** 2
            n += 1
        matrices.append(matrix)
    assert n == 3
    back.dynamical_matrices = matrices
    back.run()
    return replace(HarmonicCrystal.from_phonopy(made), force_constants=back.force_constants)


@pytest.mark.parametrize("n", [1, 2])
def test_a_conventional_cell_is_looked_at_in_more_than_gamma(n):
    crystal = softened_at_x(copper(n), 8.0)
    found = stability(crystal).commensurate
    assert found.worst == pytest.approx(8.0, abs=1e-6)
    assert (found.n_modes, found.n_points, found.n_looked_at) == (9, 3, 4 * n**3)
    assert any(np.allclose(np.abs(found.q_point) % 1, x) for x in X)
    assert instability(crystal).startswith(
        f"unstable: 9 imaginary modes at 3 of the {4 * n**3} q-points that fit into the supercell, "
        "the worst 8.000i THz at ("
    )


@pytest.mark.parametrize("matrix", [np.diag([2, 2, 2]), [[-1, 1, 1], [1, -1, 1], [1, 1, -1]]])
def test_points_are_all_that_fit_into_the_supercell(matrix):
    made = copper(1)
    crystal = HarmonicCrystal.from_phonopy(made)
    n = round(abs(np.linalg.det(matrix)))
    other = replace(
        crystal,
        supercell_matrix=np.array(matrix, dtype=np.int64),
        force_constants=np.zeros((1, 4 * n, 3, 3)),
    )
    points = commensurate_points(other)
    assert len(np.unique(np.round(points % 1, 6) % 1, axis=0)) == 4 * n
    waves = points @ np.linalg.inv(other.primitive_cell).T  # 1/angstrom, without 2 pi
    supercell = other.supercell_atoms.cell.array
    phases = waves @ supercell.T
    np.testing.assert_allclose(phases, np.round(phases), atol=1e-9)


def test_a_stable_crystal_has_no_finding():
    crystal = HarmonicCrystal.from_phonopy(copper(2))
    assert instability(crystal) is None
    told = "all modes real at the 32 q-points that fit into the supercell"
    assert stability(crystal).words == told
    assert stability(softened_at_x(copper(1), 8.0)).words.startswith("unstable: 9 imaginary modes")


def layer(n):
    atoms = fcc111("Cu", (1, 1, 1), a=2.5 * 2**0.5, vacuum=10, periodic=True)
    return HarmonicCrystal.from_phonopy(solved(displaced(atoms, [n, n, 1], np.eye(3))))


def test_what_is_imaginary_between_the_points_alone_is_interpolated_and_not_unstable():
    between = stability(layer(4))
    assert between.commensurate is None
    assert between.interpolated.worst > 0.05
    finding = instability(layer(4))
    assert "unstable" not in finding
    assert "interpolated" in finding
    assert "repeat in a larger supercell" in finding
    # the larger supercell has the point, and knows
    assert instability(layer(3)).startswith("unstable")


def test_a_flexural_branch_that_dips_near_gamma_is_no_instability(pristine):
    assert stability(pristine).commensurate is None
