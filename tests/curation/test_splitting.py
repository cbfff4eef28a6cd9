import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forcebase.curation.splitting import split_by_family
from forcebase.errors import InputError

KINDS = {"1x1": 27, "2x2": 22, "vacancy-2x2": 15, "vacancy-3x3": 3, "3x3": 1}


def population(kinds: dict[str, int]) -> tuple[list[str], list[str]]:
    families = [f"{kind}/{i}" for kind, n in kinds.items() for i in range(n)]
    return families, [family.split("/")[0] for family in families]


def count(splits: dict[str, str], split: str, kind: str = "") -> int:
    return sum(s == split and f.startswith(f"{kind}/" if kind else "") for f, s in splits.items())


def test_shares_are_kept_overall_and_in_each_kind():
    splits = split_by_family(*population(KINDS))
    assert abs(count(splits, "test") - 0.12 * 68) <= 1
    assert abs(count(splits, "valid") - 0.08 * 68) <= 1
    for kind in ("1x1", "2x2", "vacancy-2x2"):
        assert abs(count(splits, "test", kind) - 0.12 * KINDS[kind]) <= 1
        assert count(splits, "valid", kind) >= 1
    assert splits["3x3/0"] == "train"


def test_many_small_kinds_still_give_the_share():
    families, kinds = population({f"k{i:02}": 4 for i in range(50)})
    splits = split_by_family(families, kinds)
    assert count(splits, "test") == pytest.approx(0.12 * 200, abs=1)
    assert count(splits, "valid") == pytest.approx(0.08 * 200, abs=1)
    assert all(count(splits, "train", kind) for kind in set(kinds))


def test_shares_count_records_not_families():
    families, _ = population({"md": 50})
    records = [f for i, f in enumerate(families) for _ in range(40 if i % 2 else 1)]
    splits = split_by_family(records, ["md"] * len(records))
    share = sum(splits[f] == "test" for f in records) / len(records)
    assert share == pytest.approx(0.12, abs=0.02)


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6).filter(lambda s: sum(s) >= 3),
    seed=st.integers(0, 10**6),
    shuffle=st.randoms(use_true_random=False),
)
def test_every_split_has_a_family_and_order_does_not_matter(sizes, seed, shuffle):
    families, kinds = population({f"k{i}": n for i, n in enumerate(sizes)})
    splits = split_by_family(families, kinds, seed=seed)
    assert set(splits) == set(families)
    assert set(splits.values()) == {"train", "valid", "test"}
    rows = list(zip(families, kinds, strict=True))
    shuffle.shuffle(rows)
    assert split_by_family(*zip(*rows, strict=True), seed=seed) == splits


@settings(max_examples=50)
@given(
    first=st.lists(st.integers(1, 10), min_size=3, max_size=3),
    more=st.lists(st.integers(0, 10), min_size=4, max_size=4),
    seed=st.integers(0, 10**6),
)
def test_new_families_never_move_an_old_one(first, more, seed):
    old = {f"k{i}": n for i, n in enumerate(first)}
    new = {f"k{i}": n + old.get(f"k{i}", 0) for i, n in enumerate(more)}
    before = split_by_family(*population(old), seed=seed)
    after = split_by_family(*population(new), seed=seed + 1, keep=before)
    assert {family: after[family] for family in before} == before


def test_a_second_version_of_the_same_size_still_holds_out_its_share():
    before = split_by_family(*population({"1x1": 50}))
    after = split_by_family(*population({"1x1": 100}), keep=before)
    assert count(after, "test") == 12
    assert count(after, "valid") == 8


def test_another_seed_draws_other_families():
    families, kinds = population({"1x1": 100})
    one, other = (split_by_family(families, kinds, seed=s) for s in (0, 1))
    assert {f for f in one if one[f] == "test"} != {f for f in other if other[f] == "test"}


def test_families_that_are_gone_are_left_alone():
    families, kinds = population({"1x1": 10})
    splits = split_by_family(families, kinds, keep={"gone": "test"})
    assert "gone" not in splits
    assert "test" in splits.values()


def test_refuses_what_cannot_be_split():
    with pytest.raises(InputError, match="too few"):
        split_by_family(["a", "a", "b"], ["x", "x", "x"])
    with pytest.raises(InputError, match="shares"):
        split_by_family(*population(KINDS), fractions=(0.8, 0.3, 0.1))
    with pytest.raises(InputError, match="Unknown split 'dev'"):
        split_by_family(*population(KINDS), keep={"1x1/0": "dev"})
    frozen = dict.fromkeys(population(KINDS)[0], "train")
    with pytest.raises(InputError, match="none is left for test"):
        split_by_family(*population(KINDS), keep=frozen)
