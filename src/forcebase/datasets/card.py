"""A dataset's card: what is in it, where from, how good, and how to make it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forcebase.database.database import Database
from forcebase.datasets.frozen import dataset_frames, diff, splits_of
from forcebase.datasets.recipe import recipe_of
from forcebase.errors import InputError
from forcebase.frames import Frames
from forcebase.physics.reference_energies import count_elements, residual_energies
from forcebase.records import Dataset
from forcebase.records.dataset import DROPPED, SPLITS


@dataclass(frozen=True)
class Quantity:
    """One number of each record or atom.

    Attributes:
        name: what it is.
        unit: of the values.
        values: split -> (n,) values.
    """

    name: str
    unit: str
    values: dict[str, NDArray[np.float64]]

    @property
    def summary(self) -> dict[str, float]:
        """Smallest, 5 %, median, 95 % and largest of all splits."""
        together = np.concatenate(list(self.values.values()))
        points = np.quantile(together, (0, 0.05, 0.5, 0.95, 1))
        names = ("min", "5 %", "median", "95 %", "max")
        return dict(zip(names, map(float, points), strict=True))


@dataclass(frozen=True)
class Card:
    """What is to be told of a dataset.

    Attributes:
        dataset: its record.
        method: title and scalar settings of the method of all labels.
        counts: split -> records, atoms and families.
        elements: symbol -> atoms.
        kinds: kind -> split -> records.
        quantities: energies, forces, stresses, sizes.
        reasons: step -> up to three reasons, as examples.
        changes: since the parent, in lines; empty for version 1.
        recipe: text of the recipe file; "" where the record does not hold it.
    """

    dataset: Dataset
    method: dict[str, Any]
    counts: dict[str, dict[str, int]]
    elements: dict[str, int]
    kinds: dict[str, dict[str, int]]
    quantities: tuple[Quantity, ...]
    reasons: dict[str, list[str]]
    changes: tuple[str, ...]
    recipe: str

    @property
    def license(self) -> str:
        """SPDX identifier, or "not stated"."""
        return self.dataset.license or "not stated"


def make_card(db: Database, dataset: Dataset) -> Card:
    """Gather a dataset's card from the database."""
    frames = dataset_frames(db, dataset)
    of = splits_of(db, dataset)
    splits = np.array([of[str(name)] for name in frames.ids])
    symbols, counts = count_elements(frames.numbers, frames.owners, len(frames))
    method = db.methods.get(dataset.method)
    return Card(
        dataset=dataset,
        method={"title": method.title, "id": method.id, **_settings(method)},
        counts={split: _counts(frames, splits == split) for split in SPLITS},
        elements=dict(zip(symbols, counts.sum(axis=0).astype(int).tolist(), strict=True)),
        kinds=_kinds(frames, splits),
        quantities=_quantities(frames, splits, dataset),
        reasons=_reasons(db, dataset),
        changes=_changes(db, dataset),
        recipe=_recipe(dataset),
    )


def _settings(method: Any) -> dict[str, Any]:
    names = dict.fromkeys((*method.RULES, *method.FIELDS)) if not method.is_model else ()
    told = {name: getattr(method, name, None) for name in names}
    return {
        name: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        for name, value in told.items()
        if value not in (None, "", {})
    }


def _counts(frames: Frames, there: NDArray[np.bool_]) -> dict[str, int]:
    return {
        "records": int(there.sum()),
        "atoms": int(frames.n_atoms[there].sum()),
        "families": len(np.unique(frames.families[there])),
    }


def _kinds(frames: Frames, splits: NDArray[np.str_]) -> dict[str, dict[str, int]]:
    return {
        str(kind) or "none": {
            split: int(((frames.kinds == kind) & (splits == split)).sum()) for split in SPLITS
        }
        for kind in np.unique(frames.kinds)
    }


def _quantities(frames: Frames, splits: NDArray[np.str_], dataset: Dataset) -> tuple[Quantity, ...]:
    left = residual_energies(frames.numbers, frames.owners, frames.energies, dict(dataset.e0s))
    norms = np.linalg.norm(frames.forces, axis=1)
    atom_splits = splits[frames.owners]
    return tuple(
        Quantity(name, unit, {s: _finite(values[of == s]) for s in SPLITS})
        for name, unit, values, of in (
            ("energy beyond E0s", "eV/atom", left / frames.n_atoms, splits),
            ("force on an atom", "eV/Å", norms, atom_splits),
            ("largest stress component", "eV/Å³", np.abs(frames.stresses).max(axis=1), splits),
            ("atoms of a structure", "", frames.n_atoms.astype(float), splits),
        )
        if np.isfinite(values).any()
    )


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


def _reasons(db: Database, dataset: Dataset) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for step in dataset.steps:
        query = {"dataset": dataset.id, "split": DROPPED, "step": step["name"]}
        rows = db.members.raw.find(query).sort("calculation").limit(3)
        if texts := [f"{row['calculation'][:10]}: {row['reason']}" for row in rows]:
            found[step["name"]] = texts
    return found


def _changes(db: Database, dataset: Dataset) -> tuple[str, ...]:
    if not dataset.parent:
        return ()
    found = diff(db, db.datasets.get(dataset.parent), dataset)
    n_added, n_removed = (sum(map(len, m.values())) for m in (found.added, found.removed))
    counts = f"{n_added} added, {n_removed} removed, {len(found.moved)} moved to another split"
    steps = [
        f"step {name}: " + ("no more taken" if new is None else "new" if old is None else "changed")
        for name, (old, new) in found.steps.items()
    ]
    return (f"since {found.before}: {counts}", *steps, *(f"changed: {k}" for k in found.changed))


def _recipe(dataset: Dataset) -> str:
    from forcebase.curation.recipe import recipe_text

    try:
        return recipe_text(recipe_of(dataset))
    except InputError:
        return ""
