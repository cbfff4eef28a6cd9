"""Train, valid and test, by whole families, so that no near copy of a test record is trained on.

A family is all that descends from one structure. Families keep their split from version to
version of a dataset: what was once a test record never becomes a training record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from forcebase.digest import bytes_digest
from forcebase.errors import InputError

SPLITS = ("train", "valid", "test")
HELD_OUT = ("test", "valid")  # in the order in which they are served
MIN_FAMILIES_PER_KIND = 3  # kinds with fewer are too rare to hold any of them out
Fractions = tuple[float, float, float]


def split_by_family(
    families: Sequence[str],
    kinds: Sequence[str],
    *,
    fractions: Fractions = (0.80, 0.08, 0.12),
    seed: int = 0,
    keep: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Assign each family to train, valid or test, in each kind in the same proportions.

    The order in which families are drawn is that of the hash of seed and family, so it depends
    neither on the order of the records nor on what else is there.

    Args:
        families: (n,) family of each record.
        kinds: (n,) configuration kind of each record; a family counts as the kind that most of
            its records have.
        fractions: shares of train, valid and test, counted in records.
        seed: another seed draws other families.
        keep: family -> split of earlier versions; honoured always.

    Returns:
        Family -> split. At least one family each is in train, valid and test; kinds with one
        or two families are in train.

    Raises:
        InputError: fractions that are not shares, a split that is not known, or too few new
            families to have one in each split.
    """
    kept = {} if keep is None else keep
    check_fractions(fractions)
    _check(kept)
    sizes, strata = _stratify(families, kinds)
    splits = {family: kept[family] for family in sizes if family in kept}
    carry = dict.fromkeys(HELD_OUT, 0.0)
    for members in strata:
        members.sort(key=lambda family: bytes_digest(f"{seed}/{family}".encode()))
        _split_stratum(members, sizes, fractions, splits, carry)
    _fill_empty_splits(strata, kept, splits)
    return splits


def check_fractions(fractions: Sequence[float]) -> None:
    """Check that they are shares of train, valid and test.

    Raises:
        InputError: they are not three positive numbers that sum to 1.
    """
    shares = len(fractions) == 3 and all(share > 0 for share in fractions)
    if not (shares and abs(sum(fractions) - 1) <= 1e-9):
        raise InputError(
            f"Fractions {tuple(fractions)} are not shares of train, valid and test.",
            hint="Give three positive numbers that sum to 1, such as 0.8, 0.08, 0.12.",
        )


def _check(keep: Mapping[str, str]) -> None:
    unknown = sorted(set(keep.values()) - set(SPLITS))
    if unknown:
        raise InputError(
            f"Unknown split {unknown[0]!r} in the parent's assignment.",
            hint=f"Splits are {', '.join(SPLITS)}.",
        )


def _stratify(
    families: Sequence[str], kinds: Sequence[str]
) -> tuple[dict[str, int], list[list[str]]]:
    """Give the records of each family, and the families of each kind, largest kind first."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for family, kind in zip(families, kinds, strict=True):
        counts[str(family)][str(kind)] += 1
    sizes = {family: sum(by_kind.values()) for family, by_kind in counts.items()}
    strata: dict[str, list[str]] = defaultdict(list)
    for family, by_kind in counts.items():
        strata[min(by_kind, key=lambda kind: (-by_kind[kind], kind))].append(family)
    ordered = sorted(strata, key=lambda kind: (-len(strata[kind]), kind))
    return sizes, [strata[kind] for kind in ordered]


def _split_stratum(
    members: list[str],
    sizes: Mapping[str, int],
    fractions: Fractions,
    splits: dict[str, str],
    carry: dict[str, float],
) -> None:
    """Assign the new families of one kind, carrying what rounding leaves over to the next."""
    new = [family for family in members if family not in splits]
    if len(members) < MIN_FAMILIES_PER_KIND:
        splits.update(dict.fromkeys(new, "train"))
        return
    total = sum(sizes[family] for family in members)
    has_train = any(splits.get(family) == "train" for family in members)
    for split in HELD_OUT:
        there = sum(sizes[family] for family in members if splits.get(family) == split)
        wanted = fractions[SPLITS.index(split)] * total - there + carry[split]
        for family in list(new):
            last_of_train = len(new) == 1 and not has_train
            # A family goes where it brings the share nearer to its quota.
            if sizes[family] < 2 * wanted and not last_of_train:
                splits[family] = split
                wanted -= sizes[family]
                new.remove(family)
        carry[split] = wanted
    splits.update(dict.fromkeys(new, "train"))


def _fill_empty_splits(
    strata: list[list[str]], keep: Mapping[str, str], splits: dict[str, str]
) -> None:
    """See to one family in each split, moving only families that are new in this version."""
    for split in ("train", *HELD_OUT):
        if split in splits.values():
            continue
        counts = {name: list(splits.values()).count(name) for name in SPLITS}
        free = [
            family
            for members in strata
            for family in members
            if family not in keep and counts[splits[family]] > 1
        ]
        if not free:
            raise InputError(
                f"{len(splits)} families are too few: none is left for {split}.",
                hint="A dataset needs three families at least, so that each split has one; "
                "records made from one and the same structure are one family.",
                splits=counts,
            )
        splits[free[0]] = split
