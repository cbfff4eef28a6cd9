"""What makers need of the machine that their jobs run on, asked before the first job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

from jobflow import Flow, Job, Maker


@runtime_checkable
class Demanding(Protocol):
    """A maker whose jobs need a package, a program or a file; any maker may be one."""

    def check_requirements(self) -> None:
        """Raise MissingDependencyError where what its jobs need is not here."""


def check_requirements(work: Flow | Job) -> None:
    """Ask each maker of a flow, those inside of others too, whether its jobs can run here.

    Jobs that are made while the flow runs come of makers that are there already, as a field or an
    argument: so a flow that labels structures at its end is refused at its beginning.

    Raises:
        MissingDependencyError: a maker lacks something.
    """
    for maker in _makers_of(work):
        if isinstance(maker, Demanding):
            maker.check_requirements()


def _makers_of(work: Flow | Job) -> Iterator[Maker]:
    if isinstance(work, Flow):
        for part in work.jobs:
            yield from _makers_of(part)
        return
    yield from _inside([work.maker, work.function_args, work.function_kwargs])


def _inside(value: Any) -> Iterator[Maker]:
    if isinstance(value, Maker):
        yield value
        if is_dataclass(value):
            yield from _inside([getattr(value, field.name, None) for field in fields(value)])
    elif isinstance(value, Mapping):
        yield from _inside(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _inside(item)
