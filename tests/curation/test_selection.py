import numpy as np
import pytest
from ase.build import bulk

from forcebase.curation.fingerprint import find_near_pairs
from forcebase.curation.selection import FarthestPoint, Stratified, pair_densities
from forcebase.frames import Frames


def copper(strain: float, seed: int = 0, rattle: float = 0.0):
    atoms = bulk("Cu", cubic=True) * 1
    atoms.set_cell(atoms.cell * (1 + strain), scale_atoms=True)
    atoms.rattle(rattle, seed=seed)
    return atoms


def frames_of(structures, kinds=None) -> Frames:
    names = [f"c{i:02}" for i in range(len(structures))]
    return Frames.from_atoms(structures, ids=names, families=names, kinds=kinds)


def chosen(frames: Frames, step) -> list[str]:
    kept = np.ones(len(frames), dtype=bool)
    dropped = step.apply(frames, kept)
    kept[[index for index, _ in dropped]] = False
    return frames.ids[kept].tolist()


def test_farthest_points_take_one_of_each_cluster():
    clusters = [copper(s, seed, 0.002) for s in (0.0, 0.04, 0.08) for seed in range(5)]
    frames = frames_of(clusters)
    names = chosen(frames, FarthestPoint(3))
    assert sorted(int(name[1:]) // 5 for name in names) == [0, 1, 2]


def test_farthest_points_say_how_near_a_dropped_record_was_and_to_which():
    frames = frames_of([copper(0.0), copper(0.08), copper(0.0, seed=1, rattle=0.01)])
    [(index, reason)] = FarthestPoint(2).apply(frames, np.ones(3, dtype=bool))
    table = pair_densities(frames, np.arange(3), 6.0)
    other = 0 if index == 2 else 2
    gap = np.linalg.norm(table[index] - table[other])
    assert f"{gap:.4f} from c{other:02}" in reason


def test_equal_structures_are_each_taken_once_and_few_are_all_kept():
    frames = frames_of([copper(0.0)] * 4)
    assert len(chosen(frames, FarthestPoint(2))) == 2
    assert len(chosen(frames, FarthestPoint(9))) == 4


def test_densities_do_not_change_under_rotation_and_move_continuously():
    still, turned, moved = (copper(0.0, 3, 0.05) for _ in range(3))
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    moved.positions[0, 0] += 1e-7
    table = pair_densities(frames_of([still, turned, moved]), np.arange(3), 6.0)
    np.testing.assert_allclose(table[0], table[1], atol=1e-9)
    assert 0 < np.abs(table[0] - table[2]).max() < 1e-5


def test_strata_get_even_shares_and_small_ones_all_they_have():
    kinds = ["a"] * 20 + ["b"] * 10 + ["c"] * 2
    frames = frames_of([copper(0.001 * i) for i in range(32)], kinds)
    names = chosen(frames, Stratified(12))
    counts = np.unique([kinds[int(name[1:])] for name in names], return_counts=True)
    assert dict(zip(*counts, strict=True)) == {"a": 5, "b": 5, "c": 2}
    assert names == chosen(frames, Stratified(12))
    assert names != chosen(frames, Stratified(12, seed=1))


@pytest.mark.parametrize(("by", "n"), [("composition", 1), ("family", 4)])
def test_what_makes_a_stratum(by, n):
    frames = frames_of([copper(0.0), copper(0.01), copper(0.0) * (2, 1, 1), copper(0.02)])
    dropped = Stratified(n, by=by).apply(frames, np.ones(4, dtype=bool))
    assert len(dropped) == 4 - n
    assert all("composition Cu1, which has 4 records" in reason for _, reason in dropped)


def test_of_many_equal_structures_each_is_paired_with_the_first_only():
    frames = frames_of([copper(0.0)] * 50 + [copper(0.05)])
    pairs = find_near_pairs(frames, np.arange(51), tolerance=0.01, cutoff=6.0)
    assert [(pair.first, pair.second) for pair in pairs] == [(0, k) for k in range(1, 50)]
