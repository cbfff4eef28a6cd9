"""Heat of known oscillators, and what imaginary modes do to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.units import kB

from forcebase.physics.mesh_modes import ROOT_TO_THZ
from forcebase.physics.thermodynamics import compare_thermodynamics, thermodynamics
from forcebase.units import THZ_TO_MEV

MESH = (3, 3, 1)
GAS_CONSTANT = 8.314462618


def on_springs(pristine, stiffness):
    """Each atom tied to its site alone: three equal oscillators an atom, no dispersion."""
    constants = np.zeros_like(pristine.force_constants)
    for i, site in enumerate(pristine.phonopy.primitive.p2s_map):
        constants[i, site] = stiffness * pristine.masses[i] * np.eye(3)
    return replace(pristine, force_constants=constants)


def test_oscillators_have_einsteins_heat(pristine):
    found = thermodynamics(on_springs(pristine, 0.05), MESH, 300.0)
    energy = ROOT_TO_THZ * np.sqrt(0.05) * THZ_TO_MEV / 1000
    x = energy / (kB * 300.0)
    free = 3 * (energy / 2 + kB * 300.0 * np.log(1 - np.exp(-x)))
    heat = 3 * x**2 * np.exp(x) / (np.exp(x) - 1) ** 2
    entropy = 3 * (x / (np.exp(x) - 1) - np.log(1 - np.exp(-x)))
    # phonopy leaves out the three modes at Gamma that would be acoustic: 3 of 81.
    kept = 1 - 3 / 81
    assert found.free_energy == pytest.approx(kept * free * 1000, rel=1e-5)
    assert found.heat_capacity == pytest.approx(kept * heat * GAS_CONSTANT, rel=1e-5)
    assert found.entropy == pytest.approx(kept * entropy * GAS_CONSTANT, rel=1e-5)
    assert found.imaginary_share == 0


def test_a_stiffer_crystal_has_more_free_energy_and_less_entropy(pristine):
    stiffer = replace(pristine, force_constants=1.21 * pristine.force_constants)
    errors = compare_thermodynamics(stiffer, pristine, MESH).as_dict()
    assert errors["temperature_K"] == 300
    assert errors["free_energy_error_meV_per_atom"] > 1
    assert errors["entropy_error_J_per_K_mol"] < -1
    assert -1 < errors["heat_capacity_error_J_per_K_mol"] < 0
    assert 20 < errors["heat_capacity_reference_J_per_K_mol"] < 3 * GAS_CONSTANT
    back = compare_thermodynamics(pristine, stiffer, MESH).as_dict()
    assert back["entropy_error_J_per_K_mol"] == -errors["entropy_error_J_per_K_mol"]


def test_imaginary_modes_are_left_out_and_counted(pristine):
    constants = on_springs(pristine, 0.05).force_constants
    soft = constants.copy()
    soft[0, pristine.phonopy.primitive.p2s_map[0], 2, 2] *= -1
    found = compare_thermodynamics(
        replace(pristine, force_constants=soft), replace(pristine, force_constants=constants), MESH
    ).as_dict()
    assert found["imaginary_share"] == pytest.approx(1 / 9)
    assert found["imaginary_share_reference"] == 0
    assert found["heat_capacity_error_J_per_K_mol"] < 0
