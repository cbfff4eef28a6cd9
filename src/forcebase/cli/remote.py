"""forcebase remote: jobflow-remote, made ready for the database in use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forcebase.cli.commands import CommandGroup
from forcebase.cli.console import JsonOption, print_json, say
from forcebase.paths import check_writable

app = CommandGroup(help="Run flows elsewhere with jobflow-remote.")


@app.callback()
def remote() -> None:
    """Run flows elsewhere with jobflow-remote."""


@app.command()
def init(
    name: Annotated[
        str | None, typer.Option(help="Of the project; the database's by default.")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Write it anew; the old file becomes NAME.yaml.old.")
    ] = False,
    jobflow: Annotated[
        Path | None,
        typer.Option(help="Also write this file, for jobflow outside forcebase (~/.jobflow.yaml)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the jobflow-remote project of the database in use, with workers on this machine.

    Repeat it when you like: what you edited stays, and an address that changed is updated. For a
    cluster, uncomment a worker in the file and fill it in.

    Examples:
      forcebase remote init
      forcebase launch flows/wse2_training_structures.py --remote
      jf runner start
      forcebase collect --watch
    """
    from forcebase.remote.project import READERS, init_project, projects_folder, write_secret
    from forcebase.remote.template import JOBFLOW, fill
    from forcebase.settings import Settings

    settings = Settings.from_environment()
    if jobflow:
        check_writable(jobflow.expanduser())
    project, new = init_project(settings, name, force)
    if jobflow:
        write_secret(jobflow.expanduser(), fill(JOBFLOW, settings, project.name, Path()))
    alone = sum(path.suffix in READERS for path in projects_folder().glob("*")) == 1
    if as_json:
        found = {"project": project.name, "file": str(project.path), "new": new}
        print_json({**found, "workers": project.workers})
        return
    did = "written" if new else "there already, its address as it should be"
    say(f"project {project.name}: {project.path}, {did}")
    say(f"workers {', '.join(project.workers)}; `forcebase jobs` shows the queue")
    choice = "" if alone else f" -p {project.name}"
    say(f"Next: jf{choice} project check --errors; jf{choice} runner start")
