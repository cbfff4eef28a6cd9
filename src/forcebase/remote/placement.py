"""Which worker runs a job, and with what resources: jobs of one flow may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jobflow import Flow, Job

from forcebase.errors import InputError

if TYPE_CHECKING:
    from qtoolkit.core.data_objects import QResources

F = TypeVar("F", Flow, Job)


@dataclass(frozen=True)
class Place:
    """Where the jobs of a flow run: workers of a jobflow-remote project.

    Attributes:
        worker: of all jobs that `workers` does not name; the project's first by default.
        workers: job name, or a part of it, to worker.
        resources: job name, or a part of it, to its resources, as `place` takes them.
        project: name of the project; the database's own by default.
        modules: a folder with modules of the flow's jobs, if workers of this machine do not import
            them anyhow.
        again: put a flow into the queue though an equal one waits or runs there.
    """

    worker: str | None = None
    workers: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, QResources | Mapping[str, Any]] = field(default_factory=dict)
    project: str | None = None
    modules: Path | None = None
    again: bool = False


def place(
    flow: F,
    workers: Mapping[str, str] | None = None,
    resources: Mapping[str, QResources | Mapping[str, Any]] | None = None,
) -> F:
    """Send jobs to workers, those too that these jobs make when they run.

    A run in this process takes no notice of it, so one flow file serves both.

    Args:
        flow: changed in place, and returned.
        workers: job name, or a part of it, to the name of a worker of the project.
        resources: job name, or a part of it, to a QResources, or to a dict of what the worker's
            scheduler knows: `{"nodes": 1, "time": "02:00:00", "gres": "gpu:1"}`.

    Raises:
        InputError: resources that are not a table.
    """
    from jobflow_remote import set_run_config

    for part, worker in (workers or {}).items():
        set_run_config(flow, name_filter=part, worker=worker)
    for part, wanted in (resources or {}).items():
        set_run_config(flow, name_filter=part, resources=_as_resources(part, wanted))
    return flow


def unmatched(flow: Flow, parts: Iterable[str]) -> list[str]:
    """Those parts of names that no job has yet: typing errors, or jobs that a job will make."""
    names = [job.name for job, _ in flow.iterflow()]
    return [part for part in parts if not any(part in name for name in names)]


def _as_resources(part: str, wanted: QResources | Mapping[str, Any]) -> QResources | dict[str, Any]:
    from qtoolkit.core.data_objects import QResources

    if isinstance(wanted, QResources):
        return wanted
    if not isinstance(wanted, Mapping):
        raise InputError(
            f"The resources of {part!r} are not a table of names and values.",
            hint='Write them as {"nodes": 1, "time": "02:00:00"}.',
        )
    return dict(wanted)
