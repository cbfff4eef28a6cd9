"""Commands that run flows, here or elsewhere, and turn what they give into records."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, open_database, print_json, say, stage_bars
from forcebase.errors import InputError

PARTS = "JOB=NAME for jobs with JOB in their name, or NAME for all others."


def launch(
    flow_file: Annotated[Path, typer.Argument(help="A file with build(...) -> Flow.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="An argument of build, as key=value.")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Put it into jobflow-remote's queue.")
    ] = False,
    worker: Annotated[list[str] | None, typer.Option(help=f"With --remote: {PARTS}")] = None,
    resources: Annotated[
        list[str] | None,
        typer.Option(help="With --remote: JOB={...}, what the worker's scheduler is asked for."),
    ] = None,
    project: Annotated[
        str | None, typer.Option(help="With --remote: of several projects, this one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a flow here and turn its outputs into records, or have jobflow-remote run it.

    With --remote, `jf runner start` has the queue worked off, `forcebase jobs` shows how far it
    is, and `forcebase collect --watch` makes the records.

    Examples:
      forcebase launch flows/wse2_training_structures.py --set seed=7
      forcebase launch flows/wse2_main_job.py --remote --worker train=gpu
      forcebase launch flows/wse2_training_structures.py --remote --worker slurm \\
        --resources 'GPAW={"nodes": 1, "time": "02:00:00"}'
    """
    from forcebase.actions.flow_files import load_flow
    from forcebase.actions.running_here import run_here
    from forcebase.progress import following

    pairs = dict(_key_value("--set", text) for text in settings or [])
    if not remote and (worker or resources or project):
        raise InputError("Workers and resources are for --remote.", hint="Add --remote.")
    places = _places(worker or [], resources or [], project)
    with open_database(writing=True) as db, stage_bars() as bars:
        if remote:
            places.check(db)
        flow = load_flow(db, flow_file, pairs)
        if remote:
            _submit(db, flow, flow_file, places, as_json)
            return
        with following(bars):
            report = run_here(db, flow)
    print_report(report, f"flow {flow.name!r}: {report.jobs} jobs collected", as_json)
    if report.failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Places:
    """Where jobs go: all others to `worker`, those with a part of their name as it says."""

    worker: str | None
    workers: dict[str, str]
    resources: dict[str, Any]
    project: str | None

    def check(self, db: Any) -> None:
        """Refuse workers that are not there, before the flow is made."""
        from forcebase.remote.project import find_project
        from forcebase.remote.submission import check_worker

        found = find_project(db.settings, self.project)
        for name in filter(None, [self.worker, *self.workers.values()]):
            check_worker(found, name)


def _places(worker: list[str], resources: list[str], project: str | None) -> _Places:
    named = dict(_key_value("--worker", text) for text in worker if "=" in text)
    others = [text for text in worker if "=" not in text]
    if len(others) > 1:
        raise InputError(
            f"--worker {others[0]} and --worker {others[1]}: one of them is for all other jobs.",
            hint="Name jobs as in --worker train=gpu.",
        )
    wanted = dict(_resources(text) for text in resources)
    return _Places(others[0] if others else None, named, wanted, project)


def _submit(db: Any, flow: Any, flow_file: Path, places: _Places, as_json: bool) -> None:
    from forcebase.actions.flow_files import defines_jobs
    from forcebase.remote.submission import submit

    submission = submit(
        db,
        flow,
        worker=places.worker,
        workers=places.workers,
        resources=places.resources,
        project=places.project,
        job_folder=flow_file.parent if defines_jobs(flow_file, flow) else None,
    )
    if as_json:
        print_json(asdict(submission))
        return
    say(
        f"flow {submission.name!r}: {len(submission.jobs)} jobs in the queue of project "
        f"{submission.project}, for {', '.join(sorted(set(submission.workers)))}."
    )
    for part in submission.unmatched:
        say(("no job", "yellow"), f" has {part!r} in its name yet: jobs made later may.")
    say(f"Next: jf -p {submission.project} runner start; forcebase collect --watch")


def _resources(text: str) -> tuple[str, Any]:
    part, value = _key_value("--resources", text)
    try:
        return part, json.loads(value)
    except (ValueError, RecursionError):
        raise InputError(
            f"--resources {text}: what follows = is not JSON.",
            hint='Write --resources \'train={"nodes": 1, "gres": "gpu:1"}\'.',
        ) from None


def _key_value(option: str, text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"{option} {text}: there is no value.", hint=f"Write {option} key=value.")
    return key, value


def collect(
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: make records as jobs end, until Ctrl-C.")
    ] = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="With --watch: end when the queue is worked off.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn finished job outputs in the JobStore into records; safe to repeat.

    Any number of these may run at once, and be killed at any moment: the records are the same,
    none twice. A job that failed becomes a record of its failure: forcebase ls activities
    kind=failure. With --watch and --json, one line for each job.

    Examples:
      forcebase collect
      forcebase collect --watch
      forcebase collect --watch --until-done
    """
    from forcebase.ingest.collect import collect as collect_outputs

    if watch or until_done:
        _watch(until_done, as_json)
        return
    with open_database(writing=True) as db, stage_bars() as bars:
        report = collect_outputs(db, lambda _, n, total: bars("collect", n, total, {}))
    print_report(report, f"{report.jobs} jobs collected", as_json)
    if report.failed:
        raise typer.Exit(1)


def _watch(until_done: bool, as_json: bool) -> None:
    from forcebase.ingest.watching import watch
    from forcebase.remote.queue import is_idle

    with open_database(writing=True) as db:
        if not as_json:
            say("Watching the JobStore; Ctrl-C ends it.")
        for report in watch(db, stop=(lambda: is_idle(db)) if until_done else None):
            if as_json:
                print(json.dumps(_plain(report)), flush=True)
            else:
                what = ", ".join(report.names) or "no job collected"
                print_report(report, what, as_json=False)


def _plain(report: Any) -> dict[str, Any]:
    return {name: value for name, value in asdict(report).items() if name != "unread"}


def print_report(report: Any, what: str, as_json: bool) -> None:
    """Say what an import or a collection did."""
    if as_json:
        print_json(_plain(report))
        return
    added = ", ".join(f"{n} {name}" for name, n in sorted(report.added.items())) or "nothing"
    for finding in report.findings:
        say(("finding", "yellow"), f" {finding}")
    for name in report.unknown:
        say(("no record", "yellow"), f" {name}: its output is of no shape that is known")
    for name, text in report.notes:
        say(("note", "yellow"), f" {name}: {text}")
    for name, reason in report.failed:
        say(("not read", "red"), f" {name}: {reason}")
    for name, error in report.failures:
        say(("failed", "red"), f" {name}: {error}")
    if report.failures:
        say("Mend the cause, then: forcebase jobs rerun --failed")
    unread = f"; not read: {len(report.failed)}" if report.failed else ""
    say(f"{what}; new: {added}{unread}.")
