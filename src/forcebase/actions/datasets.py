"""Datasets: the next version of one, found again where it was curated before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from forcebase.curation.alike import Alike
from forcebase.curation.convergence import Converged
from forcebase.curation.isolated_atoms import with_isolated_atoms
from forcebase.curation.pipeline import Curation, Parent, curate
from forcebase.curation.recipe import CurationRecipe
from forcebase.curation.recipe_digest import recipe_digest
from forcebase.curation.staleness import NotStale
from forcebase.curation.steps import OneMethod, Released, Step
from forcebase.database.acts import finish
from forcebase.database.database import Database
from forcebase.database.energy_kinds import counted, kind_counts, one_kind
from forcebase.database.reading import read_frames
from forcebase.database.written import Written
from forcebase.datasets import dataset_frames, families_of, latest
from forcebase.datasets.isolated_atoms import with_atoms
from forcebase.datasets.reservations import reservations
from forcebase.datasets.uniformity import (
    beside,
    given_of,
    one_method,
    with_equal_methods,
    without_renewed,
)
from forcebase.digest import content_digest
from forcebase.errors import InputError, NotFoundError, VersionTakenError
from forcebase.frames import Frames
from forcebase.ingest.outputs import curation_batch
from forcebase.physics.energy_kinds import EnergyKind
from forcebase.progress import Progress, following
from forcebase.provenance.taint import stale_among
from forcebase.records import Activity, Dataset
from forcebase.records.activity import STARTED
from forcebase.safety.names import NAME_PATTERN

ATTEMPTS = 5
"""To build a dataset while others build versions of it."""


def build_dataset(
    db: Database,
    name: str,
    filters: Mapping[str, Any],
    *,
    seed: int = 0,
    recipe: CurationRecipe | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Curate the calculations that `filters` find into the next version of dataset `name`.

    Families of DFT phonons stay out: models are compared with them later. Tainted records and
    those made from one stay out too, each with the reason. The same candidates and recipe as an
    earlier version's give that version.

    Args:
        db: the database.
        name: of the dataset.
        filters: keyword arguments of `db.calculations.find`, `query` being a text; converged DFT
            by default.
        seed: of the split, where no recipe says it.
        recipe: steps, shares, E0s, license; its filters are taken where `filters` has none of the
            same name.
        progress: told of each stage.

    Raises:
        InputError: the name could not be told from name@version, or from a path.
        NotFoundError: no calculation fits.
    """
    if not re.match(NAME_PATTERN, name):
        raise InputError(
            f"{name!r} cannot name a dataset.", hint="Use letters, digits and the signs . _ + -"
        )
    recipe = recipe or CurationRecipe(seed=seed)
    chosen = {"method_class": "dft", "converged": True, **recipe.filters, **filters}
    if isinstance(chosen.get("method"), str):
        chosen["method"] = db.id_of(chosen["method"], "methods")
    if not isinstance(chosen.get("query", ""), str):
        raise InputError(
            "A dataset keeps its filters, and no MongoDB query is kept.",
            hint="Give a text of the filter language as `query`.",
        )
    if any(isinstance(step, Converged) for step in recipe.steps):
        chosen.pop("converged")  # the step drops them, and says so of each
    taken = EnergyKind(recipe.energy or EnergyKind.FREE)
    frames = read_frames(db, db.calculations.selector(**with_equal_methods(db, chosen)), taken)
    frames = without_renewed(db, frames)
    if not len(frames):
        raise NotFoundError(
            "No calculation fits the filters.", hint="`forcebase ls calculations` shows them."
        )
    kept = chosen.get("method")
    frames, findings = with_atoms(db, frames, kept if isinstance(kept, str) else None, taken)
    kinds = kind_counts(db, frames.ids.tolist(), taken)
    if len(kinds) > 1:
        findings.append(f"the candidates' energies are not of one kind: {counted(kinds)}")
    curation = dataset_recipe(db, name, chosen, frames, recipe)
    curation = replace(
        curation,
        findings=(*curation.findings, *findings),
        energy_kind=str(one_kind(kinds) or ""),
    )
    db.check_writing()
    for attempt in range(ATTEMPTS):
        if (same := find_dataset(db, curation)) is not None:
            _finish_killed(db, same)
            return same
        try:
            with following(progress):
                return _curated(db, frames, curation)
        except VersionTakenError:  # somebody's version came first: this one is to follow its splits
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt gives a dataset or its error")


def find_dataset(db: Database, curation: Curation) -> Dataset | None:
    """The version that was curated from these candidates by this curation, if there is one."""
    keys = [key for key in ("candidates", "recipe") if key in curation.query]
    wanted = {f"query.{key}": curation.query[key] for key in keys}
    found = db.datasets.find(query=wanted, name=curation.name)
    license = curation.query.get("license")
    return next((dataset for dataset in found if not license or dataset.license == license), None)


def _curated(db: Database, frames: Frames, curation: Curation) -> Dataset:
    """Curate here what is in memory, and write the next version.

    Its act is named by what went in: done again after a kill, it completes what is there.

    Raises:
        VersionTakenError: another one of this number came first.
        InputError: a candidate, or what else it names, was taken back meanwhile.
    """
    output = curate(frames, curation, _parent(db, latest(db, curation.name)))
    batch = curation_batch(db, output)
    ((dataset, members),) = batch.datasets
    batch.needed[db.calculations.name] = {member.calculation for member in members}
    for edge in dataset.provenance.edges:
        batch.needed.setdefault(edge.collection, set()).add(edge.record)
    activity = Activity(
        id=content_digest({"curated": curation.name, "query": curation.query}),
        kind="job",
        name="curate",
        wall_time=output["wall_time"],
    )
    batch.write(db, activity)
    return db.datasets.get(dataset.id)


def _finish_killed(db: Database, dataset: Dataset) -> None:
    """Finish the act of whoever was killed behind the last record of a dataset."""
    name = dataset.provenance.activity
    if name and db.activities.count({"_id": name, "run.state": STARTED}):
        activity, written = db.activities.get(name), Written(name)
        written.take(db.datasets.name, [dataset.id])
        activity.n_records = 1
        finish(db, activity, written.summary())


def dataset_recipe(
    db: Database,
    name: str,
    filters: Mapping[str, Any],
    frames: Frames,
    recipe: CurationRecipe | None = None,
) -> Curation:
    """The recipe's steps, the reservation of DFT phonons, and a query that names what went in."""
    recipe = recipe or CurationRecipe()
    curation = Curation(
        name=name,
        steps=with_isolated_atoms(frames, _steps(db, filters, frames, recipe)),
        fractions=recipe.fractions,
        seed=recipe.seed,
        e0s=recipe.e0s,
        e0s_method=recipe.e0s_method or "",
    )
    taken = [{"name": step.name, **step.parameters()} for step in curation.steps]
    asked: dict[str, Any] = {
        "filters": dict(filters),
        "candidates": frames.to_blob().sha256,
        "recipe": recipe_digest(
            taken, curation.fractions, recipe.seed, recipe.e0s, recipe.e0s_method
        ),
    }
    settings = {
        "fractions": list(recipe.fractions),
        "seed": recipe.seed,
        "e0s_method": recipe.e0s_method,
    }
    usual = {
        "fractions": list(CurationRecipe.fractions),
        "seed": CurationRecipe.seed,
        "e0s_method": None,
    }
    if recipe.energy:
        settings["energy"] = str(recipe.energy)
    if settings != usual:
        asked["settings"] = settings
    if recipe.license:
        asked["license"] = recipe.license
    told = beside(db, frames, curation.steps)
    return replace(curation, findings=told.pop("findings", ()), query=asked | told)


def _steps(
    db: Database, filters: Mapping[str, Any], frames: Frames, recipe: CurationRecipe
) -> tuple[Step, ...]:
    """Bad records out first, then checks, reservations, and what chooses n of the rest.

    What the database knows is filled in: the method of the filter, and what did not converge.
    """
    method = filters.get("method")
    steps: list[Step] = []
    for step in recipe.steps:
        if isinstance(step, OneMethod):
            asked = step.method or (method if isinstance(method, str) else None)
            steps.append(one_method(db, frames, asked))
        elif isinstance(step, Converged):
            unconverged = {name: value for name, value in filters.items() if name != "converged"}
            query = db.calculations.selector(**unconverged, converged=False)
            found = db.calculations.raw.find(query, {"_id": 1})
            steps.append(Converged(tuple(row["_id"] for row in found)))
        elif isinstance(step, Released):
            steps.append(replace(step, phonon=db.resolve(step.phonon, "phonons")[1].id))
        elif not isinstance(step, Alike):
            steps.append(step)
    alike = next((step for step in recipe.steps if isinstance(step, Alike)), Alike())
    first = 1 if steps and isinstance(steps[0], OneMethod) else 0
    steps.insert(first, replace(alike, given=given_of(db, frames.ids.tolist())))
    checks = [step for step in steps if not step.selects]
    choices = [step for step in steps if step.selects]
    released = [step.phonon for step in steps if isinstance(step, Released)]
    reserved = reservations(db, frames, released)
    return (*_withdrawals(db, frames), *checks, *reserved, *choices)


def structures_of(db: Database, dataset: Dataset, split: str | None) -> list[str]:
    """Structure ids of a dataset, or of one of its splits."""
    return [str(s) for s in dataset_frames(db, dataset, split).structures]


def _withdrawals(db: Database, frames: Frames) -> list[NotStale]:
    stale = stale_among(db, "calculations", frames.ids.tolist())
    return [NotStale(stale)] if stale else []


def _parent(db: Database, before: Dataset | None) -> Parent | None:
    if before is None:
        return None
    return {"dataset": before.id, "version": before.version, "splits": families_of(db, before)}
