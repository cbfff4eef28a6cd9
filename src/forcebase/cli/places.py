"""The options of every command that computes here or elsewhere, and what is said of the latter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from forcebase.cli.console import print_json, say
from forcebase.errors import InputError

PARTS = "JOB=NAME for jobs with JOB in their name, or NAME for all others."
RemoteOption = Annotated[bool, typer.Option("--remote", help="Put it into jobflow-remote's queue.")]
WorkerOption = Annotated[list[str] | None, typer.Option(help=f"With --remote: {PARTS}")]
ResourcesOption = Annotated[
    list[str] | None,
    typer.Option(help="With --remote: JOB={...}, what the worker's scheduler is asked for."),
]
ProjectOption = Annotated[
    str | None, typer.Option(help="With --remote: of several projects, this one.")
]


def place_of(
    remote: bool,
    worker: Sequence[str] | None,
    resources: Sequence[str] | None,
    project: str | None,
) -> Any:
    """The place that the options name; None without --remote.

    Raises:
        InputError: options of --remote without it, or that cannot be read.
    """
    if not remote:
        if worker or resources or project:
            raise InputError(
                "Workers, resources and projects are for --remote.", hint="Add --remote."
            )
        return None
    from forcebase.remote.placement import Place

    named = dict(key_value("--worker", text) for text in worker or () if "=" in text)
    others = [text for text in worker or () if "=" not in text]
    if len(others) > 1:
        raise InputError(
            f"--worker {others[0]} and --worker {others[1]}: one of them is for all other jobs.",
            hint="Name jobs as in --worker train=gpu.",
        )
    wanted = dict(_resources(text) for text in resources or ())
    return Place(others[0] if others else None, named, wanted, project)


def check_place(db: Any, where: Any) -> None:
    """Refuse a project or workers that are not there, before a flow is made."""
    if where is not None:
        from forcebase.remote import submission

        submission.check_place(db, where)


def awaited(answer: Any, as_json: bool) -> Any:
    """The answer of an action; None where it is on its way in a queue, which is told.

    Where nothing was missing, the answer is there, and nothing is in the queue.
    """
    from forcebase.actions.running_there import Handle

    if not isinstance(answer, Handle):
        return answer
    if answer.submission is None:
        return answer.result()
    _print_submission(answer.submission, as_json)
    return None


def _print_submission(submission: Any, as_json: bool) -> None:
    if as_json:
        print_json(asdict(submission))
        return
    already = "already " if submission.waits else ""
    say(
        f"flow {submission.name!r}: {len(submission.jobs)} jobs {already}in the queue of project "
        f"{submission.project}, for {', '.join(sorted(set(submission.workers)))}."
    )
    for part in submission.unmatched:
        say(("no job", "yellow"), f" has {part!r} in its name yet: jobs made later may.")
    then = "--watch" if submission.own else f"--project {submission.project}"
    say(f"Next: jf -p {submission.project} runner start; forcebase collect {then}")


def _resources(text: str) -> tuple[str, Any]:
    part, value = key_value("--resources", text)
    try:
        return part, json.loads(value)
    except (ValueError, RecursionError):
        raise InputError(
            f"--resources {text}: what follows = is not JSON.",
            hint='Write --resources \'train={"nodes": 1, "gres": "gpu:1"}\'.',
        ) from None


def key_value(option: str, text: str) -> tuple[str, str]:
    """Read key=value of an option.

    Raises:
        InputError: there is no =.
    """
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"{option} {text}: there is no value.", hint=f"Write {option} key=value.")
    return key, value
