"""The recipe of a frozen dataset, from its record."""

from __future__ import annotations

import json
from typing import Any

from forcebase.curation.convergence import Converged
from forcebase.curation.recipe import CurationRecipe, step_named, step_names
from forcebase.curation.recipe_digest import recipe_digest
from forcebase.curation.steps import Step
from forcebase.errors import InputError
from forcebase.records import Dataset


def recipe_of(dataset: Dataset) -> CurationRecipe:
    """Give the recipe by which a dataset was built; building by it gives the dataset again.

    Raises:
        InputError: the record does not hold all of it, as of a dataset whose seed was not kept.
    """
    query = _plain(dataset.query)
    settings = query.get("settings") or {}
    taken = _plain(dataset.steps)
    given = dict(dataset.e0s) if dataset.e0s_source == "given" else None
    recipe = CurationRecipe(
        filters=query.get("filters") or {},
        steps=tuple(_step(step) for step in taken if step["name"] in step_names()),
        fractions=tuple(settings.get("fractions", CurationRecipe.fractions)),
        seed=settings.get("seed", CurationRecipe.seed),
        e0s=given,
        e0s_method=settings.get("e0s_method"),
        license=dataset.license,
        energy=settings.get("energy"),
    )
    described = [{"name": step["name"], **step["parameters"]} for step in taken]
    found = recipe_digest(described, recipe.fractions, recipe.seed, given, recipe.e0s_method)
    if found != query.get("recipe"):
        raise InputError(
            f"The record of {dataset.title} does not hold its whole recipe.",
            hint="`forcebase dataset show` has its steps; its seed or shares were not the usual "
            "ones and were not kept.",
        )
    return recipe


def _step(taken: dict[str, Any]) -> Step:
    """The step as a user chooses it; the database fills in the rest, as the unconverged."""
    chosen = {k: v for k, v in taken["parameters"].items() if v is not None}
    return step_named(taken["name"], {} if taken["name"] == Converged.name else chosen)


def _plain(value: Any) -> Any:
    """Lists and dicts of mongoengine as Python's own, which YAML can write."""
    return json.loads(json.dumps(value))
