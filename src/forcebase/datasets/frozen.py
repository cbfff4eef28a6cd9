"""What can be done with a frozen dataset: read it, tell two versions apart, label its cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms

from forcebase.database.database import Database
from forcebase.database.reading import read_frames
from forcebase.datasets.candidacy import unmet_filters
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.records import Dataset
from forcebase.records.dataset import DROPPED, SPLITS


@dataclass(frozen=True)
class DatasetDifference:
    """What changed from one dataset to another; lists hold calculation ids."""

    before: str
    after: str
    added: dict[str, list[str]]
    """By split of the new one."""
    removed: dict[str, list[str]]
    """By split of the old one."""
    moved: list[tuple[str, str, str]]
    """(calculation, split before, split after)."""
    dropped: dict[str, str]
    """Calculation -> reason, of those that the new one dropped and the old one did not."""
    changed: dict[str, tuple[Any, Any]]
    """Method, E0s, filters, settings and license that differ, before and after."""
    steps: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]]
    """Step -> its parameters before and after where they differ, None where it is not taken."""
    gone: dict[str, str]
    """Calculation -> why, of members of the old one that are not candidates of the new one."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def splits_of(db: Database, dataset: Dataset) -> dict[str, str]:
    """Split of each calculation that was looked at, "dropped" included."""
    rows = db.members.raw.find({"dataset": dataset.id}, {"calculation": 1, "split": 1})
    return {row["calculation"]: row["split"] for row in rows}


def families_of(db: Database, dataset: Dataset) -> dict[str, str]:
    """Split of each family in this version and all before it, the newest word counting.

    A family keeps its split even in versions that dropped its records.
    """
    chain: list[Dataset] = [dataset]
    while chain[-1].parent:
        chain.append(db.datasets.get(chain[-1].parent))
    found: dict[str, str] = {}
    for version in reversed(chain):
        rows = db.members.raw.find(
            {"dataset": version.id, "split": {"$ne": DROPPED}}, {"family": 1, "split": 1}
        )
        found.update({row["family"]: row["split"] for row in rows})
    return found


def dataset_frames(db: Database, dataset: Dataset, split: str | None = None) -> Frames:
    """Labelled structures of the dataset, or of one split, ordered by calculation id.

    Raises:
        InputError: there is no such split.
    """
    check_split(split)
    splits = splits_of(db, dataset)
    wanted = [c for c, s in splits.items() if s != DROPPED and split in (None, s)]
    return read_frames(db, {"_id": {"$in": wanted}}, energy_taken(dataset))


def energy_taken(dataset: Dataset) -> EnergyKind:
    """The kind that a dataset takes of records with both energies: the free one unless asked."""
    asked = (dataset.query.get("settings") or {}).get("energy") or dataset.energy_kind
    return EnergyKind(asked or EnergyKind.FREE)


def check_split(split: str | None) -> None:
    """Raise InputError unless it is None (all) or the name of a split."""
    if split not in (None, *SPLITS):
        raise InputError(f"There is no split {split!r}.", hint=f"There are {', '.join(SPLITS)}.")


def latest(db: Database, name: str) -> Dataset | None:
    """The highest version of this name, or None."""
    found = db.datasets.find(name=name, sort="-version", limit=1)
    return found[0] if found else None


def diff(db: Database, before: Dataset, after: Dataset) -> DatasetDifference:
    """Say what changed from `before` to `after`."""
    old, new = splits_of(db, before), splits_of(db, after)
    old_in = {c: s for c, s in old.items() if s != DROPPED}
    new_in = {c: s for c, s in new.items() if s != DROPPED}
    reasons = {
        row["calculation"]: f"{row['step']}: {row['reason']}"
        for row in db.members.raw.find({"dataset": after.id, "split": DROPPED})
    }
    removed = {c: split for c, split in old_in.items() if c not in new_in}
    return DatasetDifference(
        before=before.title,
        after=after.title,
        added=_by_split({c: s for c, s in new_in.items() if c not in old_in}),
        removed=_by_split(removed),
        moved=[
            (c, old_in[c], new_in[c])
            for c in sorted(old_in)
            if new_in.get(c, old_in[c]) != old_in[c]
        ],
        dropped={c: reason for c, reason in reasons.items() if old.get(c) != DROPPED},
        changed=_changes(before, after),
        steps=_step_changes(before, after),
        gone={c: "; ".join(unmet_filters(db, c, after)) for c in removed if c not in new},
    )


def _changes(before: Dataset, after: Dataset) -> dict[str, tuple[Any, Any]]:
    told = {}
    for name in ("method", "e0s", "e0s_source", "energy_kind", "license"):
        told[name] = (getattr(before, name), getattr(after, name))
    for name in ("filters", "settings"):
        told[name] = (before.query.get(name), after.query.get(name))
    return {name: pair for name, pair in told.items() if pair[0] != pair[1]}


def _step_changes(
    before: Dataset, after: Dataset
) -> dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    old, new = ({s["name"]: dict(s["parameters"]) for s in d.steps} for d in (before, after))
    return {
        name: (old.get(name), new.get(name))
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    }


def labelled_atoms(frames: Frames) -> Iterator[Atoms]:
    """Yield structures with their labels under MACE's REF_ keys, and each record's id."""
    offsets = frames.offsets
    for i, atoms in enumerate(frames.atoms()):
        atoms.info = {
            "REF_energy": float(frames.energies[i]),
            "config_type": str(frames.kinds[i]) or "Default",
            "calculation": str(frames.ids[i]),
            "structure": str(frames.structures[i]),
        }
        if np.isfinite(frames.stresses[i]).all():  # without the key, MACE gives it no weight
            atoms.info["REF_stress"] = frames.stresses[i]
        atoms.arrays["REF_forces"] = frames.forces[offsets[i] : offsets[i + 1]]
        yield atoms


def _by_split(members: dict[str, str]) -> dict[str, list[str]]:
    return {
        split: sorted(c for c, s in members.items() if s == split)
        for split in SPLITS
        if split in members.values()
    }
