"""A project of jobflow-remote whose runner asks often and whose jobs start at once."""

from __future__ import annotations

import re
from pathlib import Path

from forcebase.remote.project import RemoteProject, find_project
from forcebase.settings import Settings

DELAYS = ("delay_checkout", "delay_check_run_status", "delay_advance_status", "delay_update_batch")

OTHERS = {"delta_retry": "[0.5, 0.5, 0.5]", "delay_refresh_limited": "1", "max_wait": "2"}


def ask_often(project: RemoteProject, settings: Settings, jf: Path) -> RemoteProject:
    """Write short delays into the project's file, and give the project anew.

    Args:
        project: of this machine.
        settings: of its database.
        jf: program in the place of jobflow-remote's, for all jobs but those of batches.
    """
    text = project.path.read_text()
    for name in DELAYS:
        text, n = re.subn(rf"\b{name}: \S+", f"{name}: 0.2", text)
        assert n == 1, name
    for name, value in OTHERS.items():
        text, n = re.subn(rf"\b{name}: .*", f"{name}: {value}", text, count=1)
        assert n == 1, name
    project.path.write_text(text)
    start_jobs_with(jf, project.path)
    return find_project(settings, project.name)


def start_jobs_with(jf: Path, file: Path) -> None:
    """Have the workers of this machine start their jobs, but not batches, with this program."""
    text = file.read_text()
    if f"execution_cmd: {jf}" in text:
        return
    here = re.compile(r"^    scheduler_type: shell$", re.MULTILINE)
    text, n = here.subn(rf"\g<0>\n    execution_cmd: {jf} -fe execution run {{}}", text)
    assert n == 3
    file.write_text(text)
