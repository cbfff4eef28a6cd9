"""A curation from end to end: candidates in; members, drops and reference energies out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from forcebase.curation.agreement import check_agreement
from forcebase.curation.given_e0s import checked_e0s
from forcebase.curation.isolated_atoms import atoms_e0s, e0s_of_atoms, with_isolated_atoms
from forcebase.curation.splitting import Fractions, split_by_family
from forcebase.curation.steps import OneMethod, Step, default_steps
from forcebase.errors import InputError, MixedMethodsError
from forcebase.frames import Frames
from forcebase.outputs import CurationOutput, CurationStep, Drop, E0sSource, Member
from forcebase.physics.reference_energies import fit_e0s, residual_energies


@dataclass(frozen=True)
class Curation(MSONable):
    """What makes a dataset, given the candidates.

    Attributes:
        name: of the dataset.
        query: by which the candidates were found; recorded, not run.
        steps: in the order in which they are taken.
        fractions: shares of train, valid and test, in records.
        seed: of the split.
        e0s: element symbol -> eV, of the method of the labels; None takes them from isolated
            atoms of that method, where all elements have one, or has them fitted on train.
        e0s_method: id of the method that given E0s belong to; "" where that is not known.
        findings: what is known of the candidates beside, and goes into the record.
        energy_kind: of the candidates' energies; "" where it is not recorded, or is not one.
    """

    name: str
    query: dict[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = field(default_factory=default_steps)
    fractions: Fractions = (0.80, 0.08, 0.12)
    seed: int = 0
    e0s: dict[str, float] | None = None
    e0s_method: str = ""
    findings: tuple[str, ...] = ()
    energy_kind: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "fractions", tuple(self.fractions))
        object.__setattr__(self, "findings", tuple(self.findings))


class Parent(TypedDict):
    """The version of a dataset that a new one follows."""

    dataset: str
    """Dataset id."""
    version: int
    splits: dict[str, str]
    """Family -> split, of this and all earlier versions."""


def curate(frames: Frames, recipe: Curation, parent: Parent | None = None) -> CurationOutput:
    """Decide which candidates are in, in which split, and with which reference energies.

    The answer does not depend on the order of the candidates. Families of the parent come
    first, so that of two near copies the one that has a split already stays, and a new copy
    of a test record cannot enter train in its place.

    Args:
        frames: labelled candidates, ids being calculation ids.
        recipe: what to do.
        parent: the version before, if there is one.

    Raises:
        InputError: no candidates, the same calculation twice, nothing left after a step, too
            few families to split, an element without an E0, or labels that contradict each other.
        MixedMethodsError: labels of several methods would meet in one dataset, or E0s of another
            method were given.
    """
    start = time.perf_counter()
    _check_candidates(frames)
    keep = {} if parent is None else parent["splits"]
    frames = frames.take(_canonical_order(frames, keep))
    kept, steps, dropped = _take_steps(frames, with_isolated_atoms(frames, recipe.steps))
    members = frames.take(np.flatnonzero(kept))
    method = _only_method(members, recipe.steps)
    findings = [*recipe.findings, *check_agreement(members)]
    splits = split_by_family(
        members.families.tolist(),
        members.kinds.tolist(),
        fractions=recipe.fractions,
        seed=recipe.seed,
        keep=keep,
    )
    e0s, source, found = _reference_energies(members, splits, recipe, atoms_e0s(frames, method))
    return {
        "forcebase": "curation",
        "name": recipe.name,
        "version": 1 if parent is None else parent["version"] + 1,
        "parent": None if parent is None else parent["dataset"],
        "query": recipe.query,
        "method": method,
        "members": _members(members, splits),
        "dropped": dropped,
        "steps": steps,
        "e0s": e0s,
        "e0s_source": source,
        "energy_kind": recipe.energy_kind or None,
        "findings": [*findings, *([found] if found else [])],
        "wall_time": time.perf_counter() - start,
    }


def _check_candidates(frames: Frames) -> None:
    if len(frames) == 0:
        raise InputError("There are no candidates to curate.", hint="Widen the query.")
    names, counts = np.unique(frames.ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"Calculation {names[counts > 1][0]} is among the candidates more than once.",
            hint="Give each calculation once.",
        )
    if (frames.families == "").any():
        raise InputError(
            f"Calculation {frames.ids[frames.families == ''][0]} has no structure family.",
            hint="Splits are made by family: give one to each structure when importing it.",
        )


def _canonical_order(frames: Frames, keep: Mapping[str, str]) -> NDArray[np.int64]:
    """Order by: known to the parent or not, then id."""
    is_new = ~np.isin(frames.families, list(keep))
    return np.lexsort((frames.ids, is_new))


def _take_steps(
    frames: Frames, steps: tuple[Step, ...]
) -> tuple[NDArray[np.bool_], list[CurationStep], list[Drop]]:
    kept = np.ones(len(frames), dtype=bool)
    done: list[CurationStep] = []
    dropped: list[Drop] = []
    for step in steps:
        n_in = int(kept.sum())
        found = step.apply(frames, kept)
        for row in found:
            index, reason = row[0], row[1]
            kept[index] = False
            drop: Drop = {
                "calculation": str(frames.ids[index]),
                "step": step.name,
                "reason": reason,
            }
            if len(row) == 3:
                drop["copy_of"] = str(frames.ids[row[2]])
            dropped.append(drop)
        done.append(
            {
                "name": step.name,
                "parameters": step.parameters(),
                "n_in": n_in,
                "n_dropped": len(found),
            }
        )
        if not kept.any():
            raise InputError(
                f"No record is left after step {step.name}; the last one dropped: {reason}.",
                hint="Loosen that step, or look at the labels.",
                step=step.name,
                n_in=n_in,
            )
    return kept, done, dropped


def _only_method(members: Frames, steps: tuple[Step, ...]) -> str:
    methods = np.unique(members.methods)
    for step in steps:
        if isinstance(step, OneMethod) and step.method and {*methods} <= {step.method, *step.equal}:
            return step.method
    if len(methods) > 1:
        raise MixedMethodsError(
            f"The dataset would hold labels of {len(methods)} methods: "
            f"{', '.join(name[:10] for name in methods)}.",
            hint="Put the step one-method first.",
            methods=methods.tolist(),
        )
    return str(methods[0])


def _members(members: Frames, splits: Mapping[str, str]) -> list[Member]:
    columns = zip(members.ids, members.structures, members.families, strict=True)
    return [
        {
            "calculation": str(calculation),
            "structure": str(structure),
            "family": str(family),
            "split": _as_split(splits[str(family)]),
        }
        for calculation, structure, family in columns
    ]


def _as_split(name: str) -> Literal["train", "valid", "test"]:
    return "train" if name == "train" else "valid" if name == "valid" else "test"


def _reference_energies(
    members: Frames,
    splits: Mapping[str, str],
    recipe: Curation,
    atoms: dict[str, float],
) -> tuple[dict[str, float], E0sSource, str]:
    """E0s as given, of isolated atoms, or fitted on train, for every element; and a finding."""
    if recipe.e0s is not None:
        return checked_e0s(members, recipe.e0s, recipe.e0s_method), "given", ""
    of_atoms, finding = e0s_of_atoms(members, atoms)
    if of_atoms is not None:
        return of_atoms, "isolated atoms", finding
    in_train = [splits[str(family)] == "train" for family in members.families]
    train = members.take(np.flatnonzero(in_train))
    e0s = fit_e0s(train.numbers, train.owners, train.energies)
    residual_energies(members.numbers, members.owners, members.energies, e0s)
    return e0s, "fitted", finding
