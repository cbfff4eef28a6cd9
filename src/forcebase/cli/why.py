"""forcebase why: how a record stands to a dataset."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from forcebase.cli.arguments import DatasetArgument
from forcebase.cli.console import JsonOption, open_database, print_json, say
from forcebase.cli.records import SHORT
from forcebase.cli.stale import warn_if_stale


def why(
    record: Annotated[str, typer.Argument(help="A calculation, or a structure.")],
    dataset: DatasetArgument,
    as_json: JsonOption = False,
) -> None:
    """Say why a record is in a dataset, or why not: split, family, steps, numbers.

    Examples:
      forcebase why CALCULATION wse2-pbe@1
      forcebase why CALCULATION wse2-pbe --json
    """
    from forcebase.datasets import membership

    with open_database() as db:
        found = membership.why(db, record, db.resolve(dataset, "datasets")[1])
        for answer in found:
            warn_if_stale(db, ("calculations", answer.calculation))
    if as_json:
        print_json([answer.as_dict() for answer in found])
        return
    for answer in found:
        _print_answer(answer)


def _print_answer(answer: Any) -> None:
    what = f" in {answer.split} of" if answer.split else " for" if not answer.steps else " from"
    say(
        f"{answer.calculation[:SHORT]} {answer.standing}{what} {answer.dataset}; "
        f"family {answer.family[:SHORT]}, of which {answer.n_family} in it"
    )
    for step in answer.steps:
        sign = "passed" if step.passed else "dropped by"
        settings = ", ".join(
            f"{key}={value}"
            for key, value in step.parameters.items()
            if value is not None and not isinstance(value, list)
        )
        say(
            f"  {sign} {step.step} ({settings}) with {step.n_in - step.n_dropped} of {step.n_in}"
            if step.passed
            else f"  {sign} {step.step} ({settings}), as {step.n_dropped} of {step.n_in}"
        )
    for reason in answer.reasons:
        say(f"  {reason}")
    for calculation, reason in answer.stands_for.items():
        say(f"  stands for {calculation[:SHORT]}: {reason}")
