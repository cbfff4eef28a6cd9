"""Commands that run flows, here or elsewhere, and turn what they give into records."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from forcebase.cli.console import JsonOption, open_database, print_json, say, stage_bars
from forcebase.cli.places import (
    ProjectOption,
    RemoteOption,
    ResourcesOption,
    WorkerOption,
    awaited,
    check_place,
    key_value,
    place_of,
)
from forcebase.errors import InputError


def launch(
    flow_file: Annotated[Path, typer.Argument(help="A file with build(...) -> Flow.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="An argument of build, as key=value.")
    ] = None,
    remote: RemoteOption = False,
    worker: WorkerOption = None,
    resources: ResourcesOption = None,
    project: ProjectOption = None,
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
    from forcebase.actions.flow_files import defines_jobs, load_flow
    from forcebase.actions.running import run

    pairs = dict(key_value("--set", text) for text in settings or [])
    where = place_of(remote, worker, resources, project)
    with open_database(writing=True) as db, stage_bars() as bars:
        check_place(db, where)
        flow = load_flow(db, flow_file, pairs)
        if where is not None and defines_jobs(flow_file, flow):
            where = replace(where, modules=flow_file.parent)
        if where is not None:
            where = replace(where, again=True)  # a flow file may draw anew each time
        report = awaited(run(db, flow, lambda found: found, where, bars), as_json)
    if report is None:
        return
    print_report(report, f"flow {flow.name!r}: {report.jobs} jobs collected", as_json)
    if report.failed:
        raise typer.Exit(1)


def collect(
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on: make records as jobs end, until Ctrl-C.")
    ] = False,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="With --watch: end when the queue is worked off.")
    ] = False,
    project: Annotated[
        str | None,
        typer.Option(help="Bring what our flows gave in this project of jobflow-remote first."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn finished job outputs in the JobStore into records; safe to repeat.

    Any number of these may run at once, and be killed at any moment: the records are the same,
    none twice. A job that failed becomes a record of its failure: forcebase ls activities
    kind=failure. With --watch and --json, one line for each job. Of a group's project, which has
    a JobStore of its own, --project reads outputs of flows that were launched from here.

    Examples:
      forcebase collect
      forcebase collect --watch
      forcebase collect --watch --until-done
      forcebase collect --project our-group
    """
    from forcebase.ingest.collect import collect as collect_outputs

    if project and (watch or until_done):
        raise InputError(
            "--watch looks at the JobStore of the database, and not at another project's.",
            hint=f"Repeat: forcebase collect --project {project}",
        )
    if watch or until_done:
        _watch(until_done, as_json)
        return
    with open_database(writing=True) as db, stage_bars() as bars:
        told = lambda _, n, total: bars("collect", n, total, {})  # noqa: E731
        if project:
            from forcebase.remote.carrying import collect_from
            from forcebase.remote.project import find_project

            report = collect_from(db, find_project(db.settings, project), told)
        else:
            report = collect_outputs(db, told)
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
        say("Remove the cause, then: forcebase jobs rerun --failed")
    unread = f"; not read: {len(report.failed)}" if report.failed else ""
    say(f"{what}; new: {added}{unread}.")
