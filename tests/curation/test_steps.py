from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from forcebase.curation.fingerprint import find_near_pairs
from forcebase.curation.steps import (
    HOW_RELEASED,
    EnergyOutliers,
    ForceOutliers,
    LabelsPresent,
    MinimumDistance,
    NearDuplicates,
    OneMethod,
    Reserved,
    Step,
    default_steps,
    robust_z,
)
from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames


def layer(seed: int = 0, rattle: float = 0.05) -> Atoms:
    """A layer of WSe2 with two formula units in a skew cell, vacuum along z not periodic."""
    atoms = Atoms(
        "W2Se4",
        scaled_positions=[
            (0, 0, 0.5),
            (0.5, 0, 0.5),
            (1 / 6, 2 / 3, 0.6),
            (2 / 3, 2 / 3, 0.6),
            (1 / 6, 2 / 3, 0.4),
            (2 / 3, 2 / 3, 0.4),
        ],
        cell=[(6.62, 0, 0), (-1.655, 2.867, 0), (0, 0, 16)],
        pbc=(True, True, False),
    )
    atoms.rattle(rattle, seed=seed)
    return atoms


def frames_of(structures: list[Atoms], **labels) -> Frames:
    names = [f"c{i}" for i in range(len(structures))]
    return Frames.from_atoms(structures, ids=names, families=[f"f{i}" for i in names], **labels)


def labelled(n: int = 20) -> Frames:
    rng = np.random.default_rng(7)
    structures = [layer(seed) for seed in range(n)]
    return frames_of(
        structures,
        methods=["dft"] * n,
        energies=rng.normal(-40, 0.3, n).tolist(),
        forces=[rng.normal(0, 1, (6, 3)) for _ in range(n)],
        stresses=list(rng.normal(0, 0.01, (n, 6))),
    )


def apply(step: Step, frames: Frames) -> dict[int, str]:
    return {row[0]: row[1] for row in step.apply(frames, np.ones(len(frames), dtype=bool))}


def test_one_method_refuses_a_mixture_and_names_the_methods():
    frames = replace(labelled(3), methods=np.array(["pbe", "pbe", "r2scan"]))
    with pytest.raises(MixedMethodsError, match=r"pbe \(2\), r2scan \(1\)"):
        apply(OneMethod(), frames)
    assert apply(OneMethod("pbe"), frames) == {2: "labelled by method r2scan, not pbe"}
    with pytest.raises(InputError, match="hse"):
        apply(OneMethod("hse"), frames)


def test_one_method_looks_only_at_what_is_still_in():
    frames = replace(labelled(3), methods=np.array(["pbe", "pbe", "r2scan"]))
    assert OneMethod().apply(frames, np.array([True, True, False])) == []


def test_labels_present_names_what_is_missing():
    frames = labelled(4)
    energies, forces, stresses = (
        frames.energies.copy(),
        frames.forces.copy(),
        frames.stresses.copy(),
    )
    energies[0] = np.nan
    energies[1] = np.inf
    forces[frames.offsets[1] + 5, 2] = np.nan
    stresses[2, 4] = np.nan
    frames = replace(frames, energies=energies, forces=forces, stresses=stresses)
    assert apply(LabelsPresent(), frames) == {
        0: "no finite energy",
        1: "no finite energy and forces",
    }
    assert apply(LabelsPresent(stress=True), frames)[2] == "no finite stress"


def test_minimum_distance_sees_the_pair_also_across_the_boundary():
    good = layer()
    close = layer()
    close.positions[2] = close.positions[0] + (0, 0, 1.0)
    across = layer()
    across.positions[2] = across.positions[0] + across.cell[0] * 2 + (0, 0, 1.0)
    coincident = layer()
    coincident.positions[2] = coincident.positions[0]
    dropped = apply(MinimumDistance(), frames_of([good, close, across, coincident]))
    assert sorted(dropped) == [1, 2, 3]
    assert dropped[1] == "W-Se 1.00 A apart, 0.35 of the sum of covalent radii < 0.6"
    assert "0.00 A apart" in dropped[3]


def test_minimum_distance_sees_images_of_one_atom():
    squeezed = bulk("Al", cubic=False)
    squeezed.set_cell(squeezed.cell.array * 0.4, scale_atoms=True)
    assert sorted(apply(MinimumDistance(), frames_of([bulk("Al"), squeezed]))) == [1]


def test_energy_outliers_are_told_from_a_change_of_composition():
    rng = np.random.default_rng(3)
    structures = [layer(seed) for seed in range(30)]
    structures = [a if i % 3 else a[:5] for i, a in enumerate(structures)]
    energies = [
        -8.0 * (a.numbers == 74).sum()
        - 5.0 * (a.numbers == 34).sum()
        + rng.normal(0, 0.03) * len(a)
        for a in structures
    ]
    energies[4] += 0.6 * len(structures[4])
    energies[9] -= 0.6 * len(structures[9])
    dropped = apply(EnergyOutliers(), frames_of(structures, energies=energies))
    assert sorted(dropped) == [4, 9]
    assert "+0.5" in dropped[4] or "+0.6" in dropped[4]
    assert "robust z =" in dropped[4]
    assert "> 5" in dropped[4]


def test_displaced_cells_among_relaxed_ones_are_no_outliers():
    frames = labelled(20)
    energies = np.full(20, -40.0)
    energies[3] += 0.05 * 6
    forces = np.zeros_like(frames.forces)
    forces[frames.offsets[3]] = (2.0, 0, 0)
    frames = replace(frames, energies=energies, forces=forces)
    assert apply(EnergyOutliers(), frames) == {}
    assert apply(ForceOutliers(), frames) == {}


def test_a_handful_of_records_has_no_outliers():
    frames = labelled(5)
    energies = frames.energies.copy()
    energies[0] += 100
    assert apply(EnergyOutliers(), replace(frames, energies=energies)) == {}


def test_force_outliers_by_limit_and_by_spread():
    frames = labelled(20)
    forces = frames.forces.copy()
    forces[frames.offsets[2]] = (0, 12.0, 0)
    forces[frames.offsets[5] + 3] = (0, -40.0, 0)
    dropped = apply(ForceOutliers(), replace(frames, forces=forces))
    assert sorted(dropped) == [2, 5]
    assert dropped[2].startswith("max |F| 12.00 eV/A, robust z =")
    assert dropped[5] == "max |F| 40.00 eV/A > 30"
    few = replace(frames, forces=forces).take([2, 5])
    assert sorted(apply(ForceOutliers(), few)) == [1]


@settings(max_examples=25)
@given(
    angle=st.floats(0, 360),
    order=st.permutations(range(6)),
    shift=st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(-2, 2)),
    mirror=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_moved_turned_mirrored_renumbered_copy_is_found(angle, order, shift, mirror, seed):
    original = layer(seed)
    copy = original[list(order)]
    copy.translate(shift)
    copy.wrap()
    copy.rotate(angle, "z", rotate_cell=True)
    if mirror:
        copy.positions[:, 0] *= -1
        copy.cell[:, 0] *= -1
    dropped = apply(NearDuplicates(), frames_of([original, layer(seed + 100), copy]))
    assert list(dropped) == [2]
    assert dropped[2].startswith("near copy of c0: pair distances up to 6 A within 0.0000 A")


@settings(max_examples=25)
@given(noise=st.floats(1e-5, 0.004), seed=st.integers(0, 99))
def test_moving_atoms_by_half_the_tolerance_always_leaves_a_copy(noise, seed):
    original = layer(seed)
    copy = original.copy()
    steps = np.random.default_rng(seed).normal(size=(6, 3))
    copy.positions += noise * steps / np.linalg.norm(steps, axis=1, keepdims=True)
    frames = frames_of([original, copy])
    (pair,) = find_near_pairs(frames, np.arange(2), tolerance=0.01, cutoff=6.0)
    assert 0 < pair.difference <= 2 * noise + 1e-12


@settings(max_examples=25)
@given(strain=st.floats(0.004, 0.05), axis=st.integers(0, 1))
def test_a_strained_cell_is_no_copy(strain, axis):
    original = layer()
    strained = original.copy()
    stretch = np.eye(3)
    stretch[axis, axis] += strain
    strained.set_cell(original.cell.array @ stretch, scale_atoms=True)
    assert apply(NearDuplicates(), frames_of([original, strained])) == {}


def test_copies_of_other_composition_size_or_periodicity_are_not_compared():
    original = layer()
    twice = original * (2, 1, 1)
    bulky = original.copy()
    bulky.pbc = True
    assert apply(NearDuplicates(), frames_of([original, twice, original[:5], bulky])) == {}


def test_of_a_chain_of_copies_the_first_stays_and_what_is_dropped_drops_nothing():
    chain = [layer() for _ in range(3)]
    chain[1].positions[0, 2] += 0.008
    chain[2].positions[0, 2] += 0.016
    dropped = apply(NearDuplicates(), frames_of(chain))
    assert list(dropped) == [1]


def test_a_copy_among_records_that_are_out_drops_nothing():
    frames = frames_of([layer(), layer()])
    assert NearDuplicates().apply(frames, np.array([False, True])) == []


def test_reserved_names_the_structure_or_the_family():
    step = Reserved("the force sets of the reference phonon", ["c1"], ["fc2"])
    assert apply(step, frames_of([layer(i) for i in range(4)])) == {
        1: f"reserved for the force sets of the reference phonon: structure c1; {HOW_RELEASED}",
        2: f"reserved for the force sets of the reference phonon: family fc2; {HOW_RELEASED}",
    }


def test_robust_z_matches_the_standard_score_of_normal_data():
    values = np.random.default_rng(0).normal(5, 2, 20_001)
    np.testing.assert_allclose(robust_z(values), (values - 5) / 2, atol=0.15)
    assert robust_z(np.ones(5)).tolist() == [0] * 5
    assert robust_z(np.array([0.0] * 99 + [1.0]))[-1] == pytest.approx(100 / 1.2533)


@pytest.mark.parametrize("step", [*default_steps("m"), Reserved("tests", ("a",), ("b",))])
def test_steps_survive_the_road(step):
    assert type(step).from_dict(step.as_dict()) == step
    assert set(step.parameters()) <= set(step.as_dict())
