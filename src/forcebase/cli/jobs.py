"""forcebase jobs: the queue of jobflow-remote, seen and repaired."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table

from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, console, open_database, print_json, say, words
from forcebase.cli.records import MANY
from forcebase.cli.tables import cell
from forcebase.errors import InputError

app = CommandGroup(no_args_is_help=False)
COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "BATCH_RUNNING": "cyan",
    "FAILED": "red",
    "REMOTE_ERROR": "red",
}
NumbersArgument = Annotated[list[str] | None, typer.Argument(help="Numbers of jobs.")]


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="Only these states: failed, running, ...")
    ] = None,
    flow: Annotated[str | None, typer.Option(help="Only flows whose uuid begins so.")] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=MANY, help="At most so many, the newest; 0 for all.")
    ] = 30,
    live: Annotated[
        bool, typer.Option("--live", help="Go on showing until the queue is worked off or Ctrl-C.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the jobs in the queue of jobflow-remote.

    Examples:
      forcebase jobs
      forcebase jobs --live
      forcebase jobs --state failed --json
      forcebase jobs rerun --failed
      forcebase jobs cancel 12
    """
    if context.invoked_subcommand:
        return
    from forcebase.remote.queue import count_states, is_idle, lacks_runner, list_jobs

    states = [text for given in state or [] for text in given.split(",")]
    if states:
        _check_states(states)
    with open_database() as db:
        if as_json:
            print_json([asdict(job) for job in list_jobs(db, states, flow, limit=limit)])
            return

        def view() -> Group:
            jobs = list_jobs(db, states, flow, limit=limit)
            return _view(jobs, count_states(db), lacks_runner(db))

        if not live:
            console.print(view())
            return
        with Live(view(), console=console, auto_refresh=False) as shown:
            while not is_idle(db):
                time.sleep(1)
                shown.update(view(), refresh=True)
            shown.update(view(), refresh=True)


def _check_states(states: Sequence[str]) -> None:
    from jobflow_remote.jobs.state import JobState

    known = [state.value for state in JobState]
    for state in states:
        if state.upper() not in known:
            raise InputError(
                f"{state!r} is not a state of a job.", hint=f"There are: {', '.join(known)}."
            )


def _view(jobs: Sequence[Any], counts: dict[str, int], alone: bool) -> Group:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for column in ("job", "state", "name", "worker", "time", "what it says"):
        table.add_column(column, overflow="fold" if column == "what it says" else "ellipsis")
    for job in jobs:
        colour = COLOURS.get(job.state, "white")
        spent = "" if job.seconds is None else f"{job.seconds:.0f} s"
        shown = [job.number, words((job.state, colour)), job.name, job.worker, spent]
        table.add_row(*map(cell, [*shown, job.reason[:200]]))
    total = sum(counts.values())
    listed = ", ".join(f"{n} {state.lower()}" for state, n in sorted(counts.items()))
    lines = [words(f"{total} jobs: {listed or 'none was ever submitted'}")]
    if alone:
        lines.append(words("No runner was started to work on them: jf runner start"))
    return Group(table, *lines)


@app.command()
def rerun(
    numbers: NumbersArgument = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="All that failed, or whose way there or back did.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run jobs again; those that wait for them go on when they end well.

    Examples:
      forcebase jobs rerun 12
      forcebase jobs rerun --failed
    """
    from forcebase.ingest.failures import FAILED, collect_failures
    from forcebase.remote.project import find_project
    from forcebase.remote.queue import list_jobs
    from forcebase.remote.queue import rerun as rerun_jobs

    with open_database(writing=True) as db:
        if bool(numbers) == failed:
            raise InputError("Which jobs?", hint="Give their numbers, or --failed.")
        jobs = list_jobs(db, FAILED if failed else (), numbers=numbers or ())
        _check_found(numbers or (), jobs)
        collect_failures(db)  # what went wrong is gone from the queue once the job is run again
        done = rerun_jobs(find_project(db.settings), jobs)
    if as_json:
        print_json({"rerun": done})
        return
    say(f"{len(done)} jobs are ready to run again: {', '.join(done) or 'none failed'}")


@app.command()
def cancel(
    numbers: NumbersArgument = None,
    flow: Annotated[str | None, typer.Option(help="All of the flow whose uuid begins so.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel jobs that wait or run, and those of their flows that wait for them.

    What runs is ended by its worker. `forcebase jobs rerun` begins a cancelled job anew.

    Examples:
      forcebase jobs cancel 12 13
      forcebase jobs cancel --flow 3f2a
    """
    from forcebase.remote.project import find_project
    from forcebase.remote.queue import OVER, list_jobs
    from forcebase.remote.queue import cancel as cancel_jobs

    with open_database(writing=True) as db:
        if bool(numbers) == bool(flow):
            raise InputError("Which jobs?", hint="Give their numbers, or --flow and a uuid.")
        jobs = list_jobs(db, numbers=numbers or (), flow=flow)
        _check_found(numbers or (), jobs)
        if flow:
            jobs = [job for job in jobs if job.state not in OVER]
        done = cancel_jobs(find_project(db.settings), jobs)
    if as_json:
        print_json({"cancelled": done})
        return
    say(f"{len(done)} jobs cancelled: {', '.join(done) or 'none of them waits or runs'}")


@app.command()
def unlock(
    numbers: NumbersArgument = None,
    older_than: Annotated[
        float,
        typer.Option(min=0, max=MANY, help="Without numbers: all locks held for so many seconds."),
    ] = 600.0,
    as_json: JsonOption = False,
) -> None:
    """Take away locks that a killed runner left on jobs and flows; stop the runner before.

    What the runner was at is brought to its end, or to its start: then a runner goes on with it.

    Examples:
      forcebase jobs unlock 12
      forcebase jobs unlock --older-than 60
    """
    from forcebase.remote.project import find_project
    from forcebase.remote.queue import list_jobs, locked_flows, long_locks
    from forcebase.remote.queue import unlock as unlock_jobs
    from forcebase.remote.recovery import untold_flows

    with open_database(writing=True) as db:
        if numbers:
            jobs = list_jobs(db, numbers=numbers)
            _check_found(numbers, jobs)
            flows = [job.flow for job in jobs]
        else:
            jobs = long_locks(db, older_than)
            flows = [*locked_flows(db, older_than), *untold_flows(db)]
        n = unlock_jobs(find_project(db.settings), jobs, flows)
    if as_json:
        print_json({"unlocked": n})
        return
    say(f"{n} locks taken away; a running `jf runner` goes on with these jobs.")


def _check_found(numbers: Sequence[str], jobs: Sequence[Any]) -> None:
    lacking = set(numbers) - {job.number for job in jobs}
    if lacking:
        raise InputError(
            f"The queue has no job {', '.join(sorted(lacking))}.", hint="See: forcebase jobs"
        )
