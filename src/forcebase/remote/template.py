"""The templates of db_config, filled in for one database and this environment."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from string import Template

from forcebase.database.connection import open_client, server_uri, without_password
from forcebase.settings import Settings

JOBFLOW = "jobflow.yaml"
PROJECT = "project.yaml"
SOCKET = "s.sock"
"""Of the runner's supervisord, in `daemon_dir`."""
LONGEST = 97
"""Characters of its path, of which UNIX systems allow about a hundred."""


def fill(name: str, settings: Settings, project: str, work_dir: Path) -> str:
    """Fill a template in; the text holds the database's password.

    Args:
        name: `PROJECT` or `JOBFLOW`.
        settings: the database; its server is started if need be.
        project: name of the jobflow-remote project.
        work_dir: where jobs of this machine run.
    """
    open_client(settings).close()  # the embedded server has no address before its first start
    template = files("forcebase.remote").joinpath("templates", name).read_text()
    return Template(template).substitute(
        NAME=project,
        SERVER=server_name(settings),
        MONGODB_URI=server_uri(settings),
        DATABASE=settings.database,
        ENVIRONMENT=sys.prefix,
        WORK_DIR=work_dir,
        DAEMON_DIR=_daemon_dir(work_dir.parent),
        THREADS=settings.threads,
        JOBS=max(1, (os.cpu_count() or 1) // settings.threads),
    )


def server_name(settings: Settings) -> str:
    """What stays of a server whose port or password changes: its folder, or its address."""
    return without_password(settings.mongodb_uri or str(settings.home))


def _daemon_dir(base_dir: Path) -> Path:
    """jobflow-remote's own choice, or a folder of its user alone where that path is too long."""
    usual = base_dir / "daemon"
    if len(str(usual / SOCKET)) <= LONGEST:
        return usual
    return Path(tempfile.mkdtemp(prefix="forcebase-daemon-"))
