"""The recipe of a frozen dataset, from its record."""

from __future__ import annotations

from forcebase.curation.plan import STEPS, Plan, step_named
from forcebase.curation.recipe_digest import recipe_digest
from forcebase.errors import InputError
from forcebase.records import Dataset


def recipe_of(dataset: Dataset) -> Plan:
    """Give the plan by which a dataset was built; building by it gives the dataset again.

    Raises:
        InputError: the record does not hold all of it, as of a dataset whose seed was not kept.
    """
    query = dict(dataset.query)
    settings = dict(query.get("settings") or {})
    given = dict(dataset.e0s) if dataset.e0s_source == "given" else None
    plan = Plan(
        filters=dict(query.get("filters") or {}),
        steps=tuple(
            step_named(
                step["name"],
                {k: v for k, v in step["parameters"].items() if v is not None}
                if step["name"] != "converged"
                else {},
            )
            for step in dataset.steps
            if step["name"] in STEPS
        ),
        fractions=tuple(settings.get("fractions", Plan.fractions)),
        seed=settings.get("seed", Plan.seed),
        e0s=given,
        e0s_method=settings.get("e0s_method"),
        licence=query.get("licence", ""),
    )
    taken = [{"name": step["name"], **step["parameters"]} for step in dataset.steps]
    if recipe_digest(taken, plan.fractions, plan.seed, given, plan.e0s_method) != query.get(
        "recipe"
    ):
        raise InputError(
            f"The record of {dataset.title} does not hold its whole recipe.",
            hint="`forcebase dataset show` has its steps; its seed or shares were not the usual "
            "ones and were not kept.",
        )
    return plan
