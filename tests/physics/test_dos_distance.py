"""States moved by a known amount are that far away, in total and by element."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forcebase.errors import InputError
from forcebase.physics.dos_distance import dos_distance
from forcebase.physics.mesh_modes import irreducible_mesh, solve
from forcebase.physics.vibrations import density_of_states, frequency_grid

MESH = (9, 9, 1)


def test_a_crystal_is_nowhere_but_where_it_is(pristine):
    found = dos_distance(pristine, pristine, MESH)
    assert found.total == 0
    assert found.elements == {"W": 0, "Se": 0}


def test_stiffer_by_a_tenth_is_the_tenth_of_the_mean(pristine):
    stiffer = replace(pristine, force_constants=1.21 * pristine.force_constants)
    points, weights = irreducible_mesh(pristine, MESH)
    mean = sum(
        weight * np.abs(point.frequencies).mean()
        for point, weight in zip(solve(pristine, points), weights, strict=True)
    )
    assert dos_distance(stiffer, pristine, MESH).total == pytest.approx(0.1 * mean, rel=1e-6)
    back = dos_distance(pristine, stiffer, MESH)
    assert back.total == pytest.approx(0.1 * mean, rel=1e-6)


def test_it_is_the_area_between_the_cumulative_states(pristine):
    """Of the smeared spectra, where smearing is fine against the shift."""
    softer = replace(pristine, force_constants=0.7 * pristine.force_constants)
    grid = frequency_grid([pristine, softer], MESH, sigma=0.01)
    ours, theirs = (density_of_states(side, MESH, grid, sigma=0.01) for side in (softer, pristine))
    found = dos_distance(softer, pristine, MESH)
    sides = [(found.total, ours.total, theirs.total)]
    sides += [(found.elements[s], ours.projected[s], theirs.projected[s]) for s in ("W", "Se")]
    for distance, a, b in sides:
        area = np.abs(np.cumsum(a - b) * (grid[1] - grid[0])).sum() * (grid[1] - grid[0])
        assert distance == pytest.approx(area / np.trapezoid(b, grid), rel=2e-3)


def test_other_elements_are_refused(pristine):
    other = replace(pristine, numbers=np.where(pristine.numbers == 74, 42, pristine.numbers))
    with pytest.raises(InputError, match="W"):
        dos_distance(other, pristine, (1, 1, 1))
