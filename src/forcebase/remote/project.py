"""The jobflow-remote project of a database: written once, found again, its address up to date."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from forcebase.database.access import access_of, require_writing
from forcebase.database.connection import open_client, server_uri
from forcebase.errors import AccessError, InputError, NotFoundError
from forcebase.provenance.references import value_at
from forcebase.remote.template import PROJECT, fill, server_name
from forcebase.safety.recursion import usual_recursion_limit
from forcebase.settings import Settings

if TYPE_CHECKING:
    from jobflow_remote.config.base import Project
    from jobflow_remote.jobs.jobcontroller import JobController

INIT = "Run: forcebase remote init"
QUEUE_URI = "queue.store.uri"
AUXILIARY = "jf_auxiliary"
READERS: dict[str, Callable[[str], Any]] = {
    ".yaml": lambda text: YAML(typ="safe").load(text),
    ".json": json.loads,
    ".toml": tomllib.loads,
}
"""Of the files in which jobflow-remote keeps projects; forcebase writes YAML."""
MADE = {"next_id": {"$exists": True}}
"""The document of AUXILIARY that counts the jobs."""


@dataclass(frozen=True)
class RemoteProject:
    """A project file that runs jobs of a database.

    Attributes:
        path: the file, which holds the database's password.
        content: what is in it.
        own: whether its queue and JobStore are in the database. Those of another one are somebody's
            own: our flows may run there, and their outputs are brought here.
    """

    path: Path
    content: dict[str, Any]
    own: bool = True

    @property
    def name(self) -> str:
        """What `jf --project` calls it."""
        return str(self.content["name"])

    @property
    def workers(self) -> list[str]:
        """Names of the workers; the first is taken where none is named."""
        return list(self.content.get("workers") or {})

    def load(self) -> Project:
        """Give jobflow-remote's own object.

        Raises:
            InputError: jobflow-remote does not take the file.
        """
        from jobflow_remote.config.base import Project
        from pydantic import ValidationError

        content = {"base_dir": str(self.path.with_suffix("")), **self.content}
        try:
            return Project.model_validate(content)
        except ValidationError as error:
            wrong = error.errors()[0]
            where = ".".join(str(part) for part in wrong["loc"])
            raise InputError(
                f"{self.path} is not a project of jobflow-remote: {where}: {wrong['msg']}.",
                hint=_corrected(self),
            ) from None

    def controller(self) -> JobController:
        """Open the queue; the caller closes it."""
        return self.load().get_job_controller()


def init_project(
    settings: Settings, name: str | None = None, force: bool = False
) -> tuple[RemoteProject, bool]:
    """Write the project of a database, or correct the address in the one there is.

    The queue is made where there is none; one that is there is left alone.

    Args:
        settings: the database and its server.
        name: of the project; the database's by default.
        force: write it anew even where it is there; the old file becomes NAME.yaml.old.

    Returns:
        The project, and whether it is new.

    Raises:
        InputError: another database's project has this name.
        AccessError: the user may not use the queue, or make it where there is none.
    """
    _require_rights(settings)
    folder = projects_folder()
    found = _project_of(settings, name)
    new = found is None or force
    if found and not force:
        found = _with_address_of(settings, found)
    else:
        name = name or (found.name if found else settings.database)
        path = found.path if found else folder / f"{name}.yaml"
        if path.exists() and not force:
            raise InputError(
                f"{path} is there already, for another database.",
                hint="Choose another name: forcebase remote init --name NAME, or --force.",
            )
        other = next((p for p in _projects() if p.name == name and p.path != path), None)
        if other is not None:  # jobflow-remote would find neither of two
            raise InputError(
                f"{other.path} is a project {name!r} already.",
                hint="Choose another name: forcebase remote init --name NAME",
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        work_dir = folder / name / "jobs"
        work_dir.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.replace(path.with_suffix(".yaml.old"))
        write_secret(path, fill(PROJECT, settings, name, work_dir))
        found = RemoteProject(path, _read(path) or {})
    _make_queue(found)
    return found, new


def find_project(settings: Settings, name: str | None = None) -> RemoteProject:
    """Find the project that runs jobs of this database, its address kept up to date.

    A project that somebody made for jobs of another kind is found by its name alone, and left as
    it is.

    Args:
        settings: the database and its server.
        name: of the project; of several, `JFREMOTE_PROJECT` or the first by name.

    Raises:
        InputError: the project of this name is that of another database of forcebase.
        NotFoundError: there is none.
    """
    found = _project_of(settings, name or os.environ.get("JFREMOTE_PROJECT"))
    found = found or (None if name else _project_of(settings, None))
    if found is None and name and (other := _named(name)) is not None:
        return other
    if found is None:
        named = f" named {name!r}" if name else ""
        there = ", ".join(project.name for project in _projects())
        raise NotFoundError(
            f"{projects_folder()} has no jobflow-remote project{named} for database "
            f"{settings.database!r}.",
            hint=f"There are: {there}." if name and there else INIT,
        )
    return _with_address_of(settings, found)


def projects_folder() -> Path:
    """Where jobflow-remote looks: JFREMOTE_PROJECTS_FOLDER, its own settings, or ~/.jfremote."""
    from jobflow_remote.config.settings import JobflowRemoteSettings

    return Path(JobflowRemoteSettings().projects_folder).expanduser()  # type: ignore[call-arg]


def write_secret(path: Path, text: str) -> None:
    """Write all or nothing, for the owner alone."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def _project_of(settings: Settings, name: str | None) -> RemoteProject | None:
    for project in _projects():
        if name in (None, project.name) and _is_of(settings, project.content):
            return project
    return None


def _named(name: str) -> RemoteProject | None:
    """The project of somebody's own that has this name.

    Raises:
        InputError: forcebase wrote it for another database, where `collect` would make the records.
    """
    found = next((project for project in _projects() if project.name == name), None)
    if found is None:
        return None
    mark = value_at(found.content, "metadata.forcebase")
    if mark:
        of = value_at(found.content, "metadata.forcebase.database")
        raise InputError(
            f"Project {name!r} is that of another database of forcebase, {of!r}.",
            hint="Records of its jobs would go there: set FORCEBASE_DATABASE, or name another.",
        )
    return replace(found, own=False)


def _projects() -> Iterator[RemoteProject]:
    for path in sorted(projects_folder().glob("*")):
        if path.suffix not in READERS:
            continue
        content = _read(path)
        if content and isinstance(content.get("name"), str):
            yield RemoteProject(path, content)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with usual_recursion_limit():
            content = READERS[path.suffix](path.read_text())
    except (YAMLError, OSError, ValueError, RecursionError):
        return None  # other projects are no matter of ours
    return content if isinstance(content, dict) else None


def _is_of(settings: Settings, content: dict[str, Any]) -> bool:
    """By the mark that `init` leaves, or by the same address in a file made by hand."""
    mark = value_at(content, "metadata.forcebase")
    if mark:
        return bool(mark == {"database": settings.database, "server": server_name(settings)})
    database, uri = value_at(content, "queue.store.database"), value_at(content, QUEUE_URI)
    return bool(database == settings.database and uri == server_uri(settings))


def _with_address_of(settings: Settings, project: RemoteProject) -> RemoteProject:
    """Put a port or password that changed into the file; all else stays as the user left it.

    Raises:
        InputError: the file has no address of a queue.
    """
    old, now = value_at(project.content, QUEUE_URI), server_uri(settings)
    if not (isinstance(old, str) and old.startswith("mongodb")):  # else all text like it changes
        raise InputError(
            f"{project.path} has no address of the queue, {QUEUE_URI}.", hint=_corrected(project)
        )
    if old == now:
        return project
    write_secret(project.path, project.path.read_text().replace(old, now))
    return RemoteProject(project.path, _read(project.path) or {})


def _corrected(project: RemoteProject) -> str:
    """What to do about a file that is of no use."""
    if not project.own:
        return "It is not forcebase's: ask whoever wrote it."
    return f"Correct it, or start anew: forcebase remote init --name {project.name} --force"


def _require_rights(settings: Settings) -> None:
    """Before anything is written: jobflow-remote makes its collections anew, with indexes."""
    with open_client(settings) as client:
        database = client[settings.database]
        access = access_of(database)
        require_writing(access)
        made = database[AUXILIARY].find_one(MADE) is not None
    if not made and not access.may({"createIndex", "dropCollection"}, AUXILIARY):
        raise AccessError(
            f"The queue of jobs is not made yet, and {access.who} may not make it.",
            hint="Ask an admin of the database to run once: forcebase remote init",
        )


def _make_queue(project: RemoteProject) -> None:
    """Make jobflow-remote's collections where they are not: its reset drops those there are."""
    controller = project.controller()
    try:
        if controller.auxiliary.find_one(MADE) is None:
            controller.reset(max_limit=1)
    finally:
        controller.close()
