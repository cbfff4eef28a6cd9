"""Plug-ins: what installed packages add to forcebase, as entry points of their own.

The package of forcebase registers its own readers, kinds of models, makers and steps in the same
way. A file, a record or a recipe names one of them by its name; what that name runs is only ever
what an installed package registered, never a module that the data names.

Names are listed without importing anything. A module of a plug-in is imported when its name is
asked for, or, of a code's reader, when files are to be recognised.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from forcebase.errors import InputError

LOG = logging.getLogger(__name__)
OWN = "forcebase"


class Group(StrEnum):
    """What can be added; the values are groups of entry points."""

    CODES = "forcebase.codes"
    """Readers of codes' outputs: `forcebase.ingest.codes.reader.CodeReader`."""
    MODELS = "forcebase.models"
    """Kinds of models: modules with `PACKAGE`, `open_engine` and `bundled`, see
    `forcebase.models.third_party.engine`."""
    STATIC_MAKERS = "forcebase.static_makers"
    """Makers of jobs that label one structure: subclasses of jobflow's `Maker`."""
    CURATION_STEPS = "forcebase.curation_steps"
    """Steps of a curation: subclasses of `forcebase.curation.steps.Step`."""

    @property
    def one(self) -> str:
        """What one of them is called."""
        return {
            Group.CODES: "reader",
            Group.MODELS: "kind of model",
            Group.STATIC_MAKERS: "static maker",
            Group.CURATION_STEPS: "step",
        }[self]

    @property
    def needed(self) -> tuple[str, ...]:
        """What each of them has."""
        return {
            Group.CODES: ("read", "sign"),
            Group.MODELS: ("PACKAGE", "open_engine"),
            Group.STATIC_MAKERS: ("make",),
            Group.CURATION_STEPS: ("name", "apply"),
        }[self]


def names(group: Group) -> tuple[str, ...]:
    """Names of all that is registered, forcebase's own first; imports nothing.

    Raises:
        InputError: forcebase's own are not registered, so that its installation is of another
            version than its code.
    """
    return tuple(_found(group))


def load(group: Group, name: str) -> Any:
    """Import what is registered under a name, and give it.

    Raises:
        InputError: nothing is, two packages registered it, it cannot be imported, or lacks what
            all of its group have.
    """
    return _loaded(_only(group, name), group)


def place_of(group: Group, name: str) -> str:
    """The module that a name stands for, to be imported by another Python.

    Raises:
        InputError: nothing is registered under this name, or two packages registered it.
    """
    return _only(group, name).module


def package_of(group: Group, name: str) -> str:
    """Name and version of the package that registered a name; raises as `load`."""
    return _package(_only(group, name))


def is_own(group: Group, name: str) -> bool:
    """Whether a name is forcebase's own; raises as `load`."""
    return _is_own(_only(group, name))


@cache
def load_all(group: Group) -> dict[str, Any]:
    """Import all of a group, forcebase's own first; what is broken is told in a line, and left out.

    Raises:
        InputError: two packages registered the same name, or one of forcebase's own is broken.
    """
    found = {}
    for name in names(group):
        entry = _only(group, name)
        try:
            found[name] = _loaded(entry, group)
        except InputError as error:
            if _is_own(entry):
                raise
            LOG.warning("%s It is left out. %s", error.message, error.hint or "")
    return found


@cache
def _found(group: Group) -> dict[str, list[EntryPoint]]:
    """Name -> what is registered under it: one, or several that are then refused."""
    entries: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=group), key=lambda e: (not _is_own(e), e.name)):
        entries.setdefault(entry.name, []).append(entry)
    if not any(_is_own(some[0]) for some in entries.values()):
        raise InputError(
            f"The installed forcebase has no {group.one} of its own: it is older than its code.",
            hint="Install it again, with `pip install -e .` where it is a folder of yours.",
        )
    return entries


def _only(group: Group, name: str) -> EntryPoint:
    found = _found(group).get(name, [])
    if not found:
        raise InputError(
            f"There is no {group.one} {name!r}.", hint=f"There are: {', '.join(names(group))}."
        )
    if len(found) > 1:
        packages = " and ".join(_package(entry) for entry in found)
        raise InputError(
            f"The {group.one} {name!r} is registered twice, by {packages}: neither is taken.",
            hint="Remove one of the packages with `pip uninstall`.",
        )
    return found[0]


@cache
def _loaded(entry: EntryPoint, group: Group) -> Any:
    try:
        found = entry.load()
        lacking = [name for name in group.needed if not hasattr(found, name)]
        if lacking:
            raise TypeError(f"it has no {' and no '.join(lacking)}")
        return found
    except (Exception, SystemExit) as error:  # of a module that somebody else wrote
        words = " ".join(str(error).split())
        raise InputError(
            f"The {group.one} {entry.name!r} of {_package(entry)} cannot be imported: "
            f"{type(error).__name__}: {words}.",
            hint="Repair or remove that package.",
        ) from error


def _is_own(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == OWN


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
