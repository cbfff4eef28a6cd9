"""Any two phonons of one structure, whatever their setting; unlike protocols by name only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import mx2
from scipy.spatial.transform import Rotation

from forcebase.comparison import compare, compare_phonons
from forcebase.comparison.phonon_protocol import Part, parts_of
from forcebase.errors import InputError

ERRORS = (
    "band_mae_THz",
    "band_max_THz",
    "dos_misplaced",
    "dos_wasserstein_THz",
    "modes.max_THz",
    "dos_distance.total_THz",
    "dos_distance.elements_THz.W",
    "thermal.free_energy_error_meV_per_atom",
    "thermal.entropy_error_J_per_K_mol",
    "thermal.heat_capacity_error_J_per_K_mol",
    "force_constants.mae_eV_per_A2",
)
TURNED = Rotation.from_euler("xyz", [20, -35, 65], degrees=True).as_matrix()


def value(validation, name):
    found = validation.metrics
    for part in name.split("."):
        found = found[part]
    return found


def turned_and_reordered(crystal):
    """Rotated, shifted, selenium first; the supercell's atoms follow the unit cell's."""
    order = np.array([2, 0, 1])
    per_atom = len(crystal.supercell_atoms) // 3
    sites = np.concatenate([np.arange(per_atom) + per_atom * atom for atom in order])
    constants = crystal.force_constants[order][:, sites]
    return replace(
        crystal,
        numbers=crystal.numbers[order],
        masses=crystal.masses[order],
        cell=crystal.cell @ TURNED,
        positions=(crystal.positions[order] + [0.4, 2.0, -1.0]) @ TURNED,
        force_constants=np.einsum("ba,ijbc,cd->ijad", TURNED, constants, TURNED),
    )


def in_larger_supercell(crystal, n):
    """The same springs in an n x n supercell: those of nearest images, and no others."""
    made = replace(
        crystal,
        supercell_matrix=np.diag([n, n, 1]),
        force_constants=np.zeros((3, 3 * n * n, 3, 3)),
    )
    primitive, large = crystal.phonopy.primitive, made.phonopy
    vectors, multiplicities = primitive.get_smallest_vectors()
    constants = made.force_constants
    for j in range(len(crystal.supercell_atoms)):
        for i in range(3):
            count, start = multiplicities[j, i]
            for vector in vectors[start : start + count] @ crystal.cell:
                place = large.supercell.positions[large.primitive.p2s_map[i]] + vector
                apart = large.supercell.scaled_positions - np.linalg.solve(
                    large.supercell.cell.T, place
                )
                site = int(np.linalg.norm(apart - np.round(apart), axis=1).argmin())
                constants[i, site] += crystal.force_constants[i, j] / count
    return replace(made, force_constants=constants)


def test_a_phonon_turned_shifted_and_reordered_has_no_errors(
    db, dft_phonon, dft_crystal, store_phonon
):
    other = store_phonon(turned_and_reordered(dft_crystal))
    assert other.structure != dft_phonon.structure
    for pair in ((other, dft_phonon), (dft_phonon, other)):
        found = compare_phonons(db, *pair)
        for name in ERRORS:
            assert abs(value(found, name)) < 1e-6, name
        assert found.metrics["modes"]["mean_overlap"] == pytest.approx(1)
        assert found.metrics["force_constants"]["n_left_out"] == 0


def test_lattice_constants_of_two_relaxations_may_differ(db, dft_phonon, dft_crystal, store_phonon):
    turned = turned_and_reordered(dft_crystal)
    relaxed = replace(turned, cell=turned.cell * 1.004, positions=turned.positions * 1.004)
    found = compare_phonons(db, store_phonon(relaxed), dft_phonon)
    assert abs(found.metrics["band_mae_THz"]) < 1e-6
    assert abs(found.metrics["force_constants"]["mae_eV_per_A2"]) < 1e-9


def test_an_error_shows_in_every_metric_and_in_any_setting(
    db, dft_phonon, dft_crystal, store_phonon
):
    stiff = replace(dft_crystal, force_constants=1.21 * dft_crystal.force_constants)
    here = compare_phonons(db, store_phonon(stiff), dft_phonon)
    there = compare_phonons(db, store_phonon(turned_and_reordered(stiff)), dft_phonon)
    for name in ERRORS:
        assert abs(value(here, name)) > 1e-3, name
        assert value(there, name) == pytest.approx(value(here, name), rel=1e-5), name
    assert here.metrics["force_constants"]["relative"] == pytest.approx(0.21)
    assert here.metrics["modes"]["mae_THz"] == pytest.approx(here.metrics["band_mae_THz"], rel=1e-6)


def test_another_structure_is_refused_by_name(db, dft_phonon, dft_crystal, store_phonon):
    octahedral = mx2("WSe2", kind="1T", a=3.31, thickness=3.34, vacuum=6.3)
    other = replace(dft_crystal, cell=octahedral.cell.array, positions=octahedral.positions)
    stored = store_phonon(other)
    with pytest.raises(
        InputError, match=f"{stored.id[:10]} of Se2W.*{dft_phonon.id[:10]}.*not one"
    ):
        compare(db, stored.id, dft_phonon.id)
    other = replace(dft_crystal, numbers=np.array([42, 34, 34]))
    with pytest.raises(InputError, match="MoSe2 does not correspond to one of"):
        compare(db, store_phonon(other).id, dft_phonon.id)


@pytest.mark.parametrize(
    ("protocol", "relaxation", "part", "named"),
    [
        ({"displacement_A": 0.01}, None, "displacement", r"0\.01 A and 0\.02 A"),
        ({"symmetrized": False}, None, "symmetrization", "not symmetrized and symmetrized"),
        (
            {"temperature_K": 300.0, "statistics": "classical", "source": "MD"},
            None,
            "temperature",
            "300 K, classical, MD and harmonic",
        ),
        ({}, {"converged": False, "max_force": 0.3}, "relaxation", "not relaxed and relaxed"),
    ],
)
def test_unlike_protocols_are_refused_by_name_and_go_on_when_allowed(
    db, dft_phonon, dft_crystal, store_phonon, protocol, relaxation, part, named
):
    other = store_phonon(dft_crystal, protocol, relaxation)
    with pytest.raises(InputError, match=rf"{part} \({named}\).*--allow {part}"):
        compare(db, other.id, dft_phonon.id)
    with pytest.raises(InputError, match=part):
        compare(db, other.id, dft_phonon.id, allow=["masses"])
    found = compare(db, other.id, dft_phonon.id, allow=[part]).validation
    assert list(found.on["allowed"]) == [part]
    assert found.metrics["band_max_THz"] == 0
    # What was allowed once is not allowed for ever, and needless permissions change nothing.
    with pytest.raises(InputError, match=part):
        compare(db, other.id, dft_phonon.id)
    assert compare(db, other.id, dft_phonon.id, allow=[part, "supercell"]).validation.id == found.id


def test_all_that_is_unlike_is_named_at_once(db, dft_phonon, dft_crystal, store_phonon):
    other = store_phonon(
        replace(dft_crystal, masses=2 * dft_crystal.masses), {"displacement_A": 0.05}
    )
    with pytest.raises(InputError, match=r"masses.*157\.92.*displacement.*--allow masses --allow"):
        compare(db, other.id, dft_phonon.id)
    with pytest.raises(InputError, match=r"no part 'cell'.*supercell, displacement"):
        compare(db, other.id, dft_phonon.id, allow=["cell"])
    assert parts_of(["nac", "masses", "nac"]) == (Part.MASSES, Part.NAC)


def test_analytic_force_constants_and_small_residual_forces_are_not_unlike(
    db, dft_phonon, dft_crystal, store_phonon
):
    analytic = store_phonon(dft_crystal, {"method": "analytic", "displacement_A": 0.05})
    assert compare_phonons(db, analytic, dft_phonon).on["allowed"] == {}
    nearly = store_phonon(dft_crystal, {"a": 1}, {"converged": False, "max_force": 1e-3})
    assert compare_phonons(db, nearly, dft_phonon).on["allowed"] == {}
    silent = store_phonon(dft_crystal, {"displacement_A": None}, {"steps": 3})
    found = compare_phonons(db, silent, dft_phonon)
    assert found.on["not_known"] == ["displacement", "temperature", "relaxation"]


def test_unlike_supercells_are_compared_on_common_q_points(
    db, dft_phonon, dft_crystal, store_phonon
):
    large = store_phonon(in_larger_supercell(dft_crystal, 5))
    with pytest.raises(InputError, match=r"supercell \(75 atoms, 5,0,0 0,5,0 0,0,1 and 27 atoms"):
        compare(db, large.id, dft_phonon.id)
    found = compare(db, large.id, dft_phonon.id, allow=["supercell"]).validation
    assert found.metrics["band_max_THz"] < 1e-6
    constants = found.metrics["force_constants"]
    assert constants["mae_eV_per_A2"] < 1e-9
    shared = compare(db, dft_phonon.id, large.id, allow=["supercell"]).metrics["force_constants"]
    assert shared["n_pairs"] == constants["n_pairs"]
    assert constants["n_left_out"] > 0


def test_found_again_and_equal_when_computed_again(db, dft_phonon, dft_crystal, store_phonon):
    stiff = replace(dft_crystal, force_constants=1.21 * dft_crystal.force_constants)
    turned = store_phonon(turned_and_reordered(stiff))
    first = compare_phonons(db, turned, dft_phonon)
    chunks = list(db.raw["blobs.chunks"].find({"files_id": turned.force_constants}))
    db.raw["blobs.chunks"].delete_many({"files_id": turned.force_constants})
    assert compare_phonons(db, turned, dft_phonon).id == first.id  # found, not computed
    db.raw["blobs.chunks"].insert_many(chunks)
    assert compare_phonons(db, turned, dft_phonon, recompute=True).id == first.id
    assert db.validations.count() == 1
    back = compare_phonons(db, dft_phonon, turned)
    assert back.on["model_phonon"] == dft_phonon.id
    assert back.metrics["band_bias_THz"] == pytest.approx(-first.metrics["band_bias_THz"])


def test_what_the_model_has_seen_of_the_cell_is_said(db, dft_phonon, dft_crystal, store_phonon):
    model = store_phonon(dft_crystal)
    foreign = compare_phonons(db, model, dft_phonon).leakage
    assert set(foreign.values()) == {0, foreign["n_unknown"]}
    assert foreign["n_unknown"] >= 1
    held = compare_phonons(db, dft_phonon, model).leakage  # DFT was trained on nothing
    assert set(held.values()) == {0, held["n_new"]}
