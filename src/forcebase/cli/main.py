"""forcebase: the command line."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from forcebase.cli import (
    archive,
    compare,
    dataset,
    doctor,
    filters,
    forget,
    integrity,
    jobs,
    launch,
    log,
    main_job,
    method,
    model,
    phonon,
    plot,
    records,
    remote,
    server,
    show,
    status,
    structure,
    trace,
    why,
    work,
)
from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import run_app, say

app = CommandGroup(
    help="Any machine-learning force field against any DFT record.\n\n"
    "Start with `forcebase demo`, then `forcebase status`."
)


def _print_version(asked: bool) -> None:
    if asked:
        say(f"forcebase {version('forcebase')}")
        raise typer.Exit


@app.callback()
def forcebase(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Options of all commands together."""


app.add_typer(server.app, name="db")
app.add_typer(dataset.app, name="dataset")
app.add_typer(method.app, name="method")
app.add_typer(model.app, name="model")
app.command(name="import")(work.import_files)
app.add_typer(remote.app, name="remote")
app.command()(launch.launch)
app.add_typer(jobs.app, name="jobs")
app.command()(launch.collect)
app.command()(work.train)
app.command()(work.predict)
app.command()(phonon.phonon)
app.command()(phonon.defect)
app.command()(compare.compare)
app.command()(status.status)
app.command()(records.ls)
app.command()(show.show)
app.command()(show.name)
app.command()(show.tag)
app.command()(filters.fields)
app.add_typer(plot.app, name="plot")
app.add_typer(structure.app, name="structure")
app.command()(trace.trace)
app.command()(why.why)
app.command()(integrity.taint)
app.command()(integrity.untaint)
app.command()(forget.forget)
app.command()(forget.raw)
app.command()(integrity.verify)
app.command()(log.log)
app.command()(archive.export)
app.command()(integrity.backup)
app.command()(integrity.restore)
app.command()(main_job.demo)
app.command()(doctor.doctor)


def main() -> None:
    """Run one command in this process, by its arguments; `forcebase.cli.start` calls it."""
    run_app(app)


if __name__ == "__main__":
    main()
