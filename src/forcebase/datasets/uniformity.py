"""Whether candidates of a dataset are of one set-up, and what is to be known where they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forcebase.curation.alike import SHORT, Alike
from forcebase.curation.isolated_atoms import IsolatedAtoms
from forcebase.curation.steps import OneMethod, Step
from forcebase.database.database import Database
from forcebase.database.equivalences import equal_methods, mixed, resting_on
from forcebase.database.pieces import in_pieces
from forcebase.errors import MixedMethodsError
from forcebase.frames import Frames
from forcebase.physics.common_orientation import farthest_stresses, is_multiple
from forcebase.physics.same_crystal import SAME_VOLUME, same_crystals
from forcebase.records.calculation import RENEWS
from forcebase.records.method_differences import NOT_RECORDED

SAME_ENERGY = 1e-3
"""eV/atom, of one crystal in cells of several sizes or meshes."""
SAME_STRESS = 5e-4
"""eV/angstrom^3, of each component in cells that are not turned; of principal values otherwise."""
FIELDS = ("potentials", "plus_u", "charge", "magnetic", "k_spacing", "k_mesh", "k_rule", "elements",
          "code_version", "method", "findings")  # fmt: skip
LARGEST = 500
"""Atoms; larger cells are not reduced to a primitive one."""
MOST_EXAMPLES = 3
FORCE_DIGITS = 2
"""eV/angstrom; forces of atoms that are one in a smaller cell differ by less."""
MOST_REDUCED = 2000
"""Cells, a few ms each."""


def one_method(db: Database, frames: Frames, asked: str | None) -> OneMethod:
    """Give the step that keeps one method, and those that are taken for one with it.

    Raises:
        MixedMethodsError: there are several, and none was asked for.
    """
    names, n = np.unique(frames.methods, return_counts=True)
    counts = {str(name): int(count) for name, count in zip(names, n, strict=True)}
    wanted = asked or max(sorted(counts), key=lambda name: counts[name])
    equal = sorted((set(equal_methods(db, [wanted])) & set(counts)) - {wanted})
    strange = sorted(set(counts) - {wanted, *equal})
    if strange and asked is None:
        raise MixedMethodsError(
            f"The candidates are labelled by {len(counts)} methods. They differ in "
            f"{(unlike := mixed(db, counts))}.",
            hint="Take one: `method=ID` among the filters; `forcebase method diff A B` tells more, "
            "and `forcebase method equate A B --reason WHY` takes two for one."
            + (
                " Importing the old files again supplies what was not recorded."
                if NOT_RECORDED in unlike
                else ""
            ),
            methods=counts,
        )
    return OneMethod(wanted if asked is not None or equal else None, equal=tuple(equal))


def with_equal_methods(db: Database, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters that find the labels of methods taken for one with the one asked for, too."""
    method = filters.get("method")
    if not isinstance(method, str):
        return dict(filters)
    return {**filters, "method": sorted(equal_methods(db, [method]))}


def beside(db: Database, frames: Frames, steps: Sequence[Step]) -> dict[str, Any]:
    """What a dataset is to tell of its candidates: findings, and equivalences it rests on."""
    told: dict[str, Any] = {}
    method = next((step for step in steps if isinstance(step, OneMethod)), OneMethod())
    if method.method and method.equal:
        told["equated"] = resting_on(db, [method.method, *method.equal])
    alike = next((step for step in steps if isinstance(step, Alike)), None)
    if alike is not None:
        kept = np.ones(len(frames), dtype=bool)
        for step in steps:
            if isinstance(step, (IsolatedAtoms, OneMethod, Alike)):
                kept[[row[0] for row in step.apply(frames, kept)]] = False
        if findings := findings_of(frames.take(np.flatnonzero(kept)), alike.given, alike):
            told["findings"] = findings
    return told


def without_renewed(db: Database, frames: Frames) -> Frames:
    """Candidates without those of old methods that another candidate renews."""
    if not _old_methods(db):
        return frames
    among = frames.ids.tolist()
    asked = {"_id": {"$in": among}, "provenance.edges.role": RENEWS}
    old = {
        edge["record"]
        for piece in in_pieces(asked)
        for row in db.calculations.raw.find(piece, {"provenance.edges": 1})
        for edge in row["provenance"]["edges"]
        if edge["role"] == RENEWS
    }
    return frames.take(np.flatnonzero(~np.isin(frames.ids, sorted(old))))


def _old_methods(db: Database) -> set[str]:
    query = {"code": {"$exists": True}, "identity": None}
    return {row["_id"] for row in db.methods.raw.find(query, {"_id": 1})}


def given_of(db: Database, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What their method gave the DFT calculations of these ids, for `Alike`."""
    fields = dict.fromkeys(FIELDS, 1)
    old = _old_methods(db)
    found = {}
    query = {"_id": {"$in": list(ids)}, "method_class": "dft"}
    for piece in in_pieces(query):
        for row in db.calculations.raw.find(piece, fields):
            entry = {name: row.get(name) for name in FIELDS}
            entry["order"] = (row.get("magnetic") or {}).get("order")
            entry["unrecorded"] = row["method"] in old
            found[row["_id"]] = entry
    return found


def findings_of(frames: Frames, given: Mapping[str, Mapping[str, Any]], step: Alike) -> list[str]:
    """Say, with figures, what is to be known of candidates whose set-up is one."""
    known = {name: given[name] for name in frames.ids.tolist() if name in given}
    return [
        *_versions(known),
        *_spacings(known, step.k_spacing_factor),
        *_unrecorded(known),
        *_left_order(known),
        *_unlike_crystals(frames, known),
    ]


def _versions(given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    counts: dict[str, int] = defaultdict(int)
    for entry in given.values():
        if entry.get("code_version"):
            counts[str(entry["code_version"])] += 1
    if len(counts) < 2:
        return []
    told = ", ".join(f"{version} ({n})" for version, n in sorted(counts.items()))
    return [f"versions of the code are mixed: {told}"]


def _spacings(given: Mapping[str, Mapping[str, Any]], factor: float) -> list[str]:
    spacings = {name: e["k_spacing"] for name, e in given.items() if e.get("k_spacing")}
    rules = {(e.get("k_rule") or {}).get("spacing_per_A") for e in given.values()}
    if not spacings or (len(rules) == 1 and None not in rules):
        return []
    low, high = (f(spacings, key=lambda name: spacings[name]) for f in (min, max))
    if spacings[high] <= factor * spacings[low] * (1 + 1e-6):
        return []
    return [
        f"distances of k-points go from {spacings[low]:g} 1/A ({low[:SHORT]}) to "
        f"{spacings[high]:g} ({high[:SHORT]}), more than a factor of {factor:g}"
    ]


def _unrecorded(given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    n = sum(bool(entry["unrecorded"]) for entry in given.values())
    if not n:
        return []
    return [
        f"charge, potentials, U and magnetic state of {n} of {len(given)} calculations are not "
        "recorded: importing their files again supplies them"
    ]


def _left_order(given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    left = sorted(name for name, entry in given.items() if entry.get("findings"))
    if not left:
        return []
    some = ", ".join(name[:SHORT] for name in left[:MOST_EXAMPLES])
    return [f"{len(left)} calculations left the magnetic order that they began with, as {some}"]


def _unlike_crystals(frames: Frames, given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One crystal in cells of several sizes or with several meshes, where labels disagree."""
    places = [i for i, name in enumerate(frames.ids.tolist()) if name in given]
    found = []
    for group in _same_geometry(frames, places, given) + _same_crystal(frames, places):
        found += _disagreement(frames, group, given)
    return list(dict.fromkeys(found))


def _same_geometry(
    frames: Frames, places: Sequence[int], given: Mapping[str, Mapping[str, Any]]
) -> list[list[int]]:
    by_structure: dict[str, list[int]] = defaultdict(list)
    for i in places:
        by_structure[str(frames.structures[i])].append(i)
    return [
        group
        for group in by_structure.values()
        if len({tuple(given[str(frames.ids[i])].get("k_mesh") or ()) for i in group}) > 1
    ]


def _same_crystal(frames: Frames, places: Sequence[int]) -> list[list[int]]:
    offsets = frames.offsets
    small = _worth_reducing(frames, [i for i in places if frames.n_atoms[i] <= LARGEST])
    rows = [slice(offsets[i], offsets[i + 1]) for i in small]
    groups = same_crystals(
        [frames.numbers[r] for r in rows],
        [frames.cells[i] for i in small],
        [frames.positions[r] for r in rows],
    )
    return [[small[i] for i in group] for group in groups]


def _worth_reducing(frames: Frames, places: Sequence[int]) -> list[int]:
    """Cells that may be several of a smaller one, and those that may be the smaller one.

    Atoms that a translation maps on each other have equal forces: of rattled cells, which are most
    of many datasets, none needs to be reduced.
    """
    offsets = frames.offsets
    volumes = {i: abs(np.linalg.det(frames.cells[i])) / frames.n_atoms[i] for i in places}
    large = []
    for i in places:
        forces = np.round(frames.forces[offsets[i] : offsets[i + 1]], FORCE_DIGITS) + 0.0
        if 2 * len(np.unique(forces, axis=0)) <= frames.n_atoms[i]:
            large.append(i)
    large = large[:MOST_REDUCED]
    if not large:
        return []
    sizes, known = frames.n_atoms[large], np.array([volumes[i] for i in large])
    chosen = set(large)
    near = [
        i
        for i in places
        if i not in chosen
        and ((sizes > frames.n_atoms[i]) & (np.abs(known / volumes[i] - 1) < SAME_VOLUME)).any()
    ]
    return sorted([*large, *near[:MOST_REDUCED]])


def _disagreement(
    frames: Frames, group: Sequence[int], given: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    energies = {i: frames.energies[i] / frames.n_atoms[i] for i in group}
    low, high = (f(group, key=lambda i: energies[i]) for f in (min, max))
    found = []
    if energies[high] - energies[low] > SAME_ENERGY:
        found.append(
            f"one crystal has energies that are {1e3 * (energies[high] - energies[low]):.1f} "
            f"meV/atom apart: {_named(frames, low, given)} and {_named(frames, high, given)}"
        )
    known = sorted(
        (i for i in group if np.isfinite(frames.stresses[i]).all()), key=lambda i: frames.n_atoms[i]
    )
    if len(known) > 1:
        smallest = _cell(frames, known[0])
        aligned = [is_multiple(smallest, _cell(frames, i)) for i in known]
        apart, low, high, what = farthest_stresses([frames.stresses[i] for i in known], aligned)
        if apart > SAME_STRESS:
            found.append(
                f"one crystal has stresses that are {1e3 * apart:.2f} meV/A^3 apart ({what}): "
                f"{_named(frames, known[low], given)} and {_named(frames, known[high], given)}"
            )
    return found


def _cell(frames: Frames, i: int) -> tuple[Any, Any, Any]:
    rows = slice(frames.offsets[i], frames.offsets[i + 1])
    return frames.numbers[rows], frames.cells[i], frames.positions[rows]


def _named(frames: Frames, i: int, given: Mapping[str, Mapping[str, Any]]) -> str:
    name = str(frames.ids[i])
    mesh = "x".join(map(str, given[name].get("k_mesh") or ())) or "unknown mesh"
    return f"{name[:SHORT]} ({frames.n_atoms[i]} atoms, {mesh})"
