"""Roles of a group's members, as roles of MongoDB on one database.

A reader reads all there is. A curator adds what commands add: records are only ever inserted, and
updates and deletions are allowed where a command makes them, which the table below lists by
collection; collections, validators and indexes are an admin's. Roles are of one database: another
on the same server has its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pymongo.database import Database as MongoDatabase
from pymongo.errors import OperationFailure

from forcebase.database.schema import DOCUMENTS

ROLE_IS_THERE = 51002
INSERT = ("insert",)
EDIT = ("insert", "update")
REPLACE = ("insert", "update", "remove")
CHANGED_BY_COMMANDS: dict[str, tuple[str, ...]] = {
    "activities": EDIT,  # a failed job is marked as mended
    "dataset_members": ("insert", "remove"),  # what a killed writer left is written anew
    "labels": REPLACE,  # names move, tags are taken off
    "taints": REPLACE,
    "quarantine": EDIT,  # a model is trusted
    "label_blocks": REPLACE,  # copies of labels, made again when they do not fit
    "blobs.files": ("insert", "remove"),  # the pieces of a killed writer
    "blobs.chunks": ("insert", "remove"),
    "outputs": EDIT,  # jobflow replaces the output of a job that ran again ...
    "data.files": REPLACE,  # ... and its heavy parts
    "data.chunks": REPLACE,
    "jf_jobs": REPLACE,
    "jf_flows": REPLACE,
    "jf_auxiliary": REPLACE,
    "jf_batches": REPLACE,
}
"""Everything else that a curator may write to is inserted once and stays."""


class Role(StrEnum):
    """What a member of a group may do, from the least to the most."""

    READER = "reader"
    CURATOR = "curator"
    ADMIN = "admin"

    @property
    def name_on_server(self) -> str:
        """MongoDB's name of it, in the database it is for."""
        return f"forcebase-{self}"


def define_roles(database: MongoDatabase) -> None:
    """Make the roles of a database, or bring those there are to this version's rights.

    Raises:
        OperationFailure: who is connected may not define roles.
    """
    for role in Role:
        rights: dict[str, Any] = {
            "privileges": _privileges(role, database.name),
            "roles": _inherited(role),
        }
        try:
            database.command("createRole", role.name_on_server, **rights)
        except OperationFailure as error:
            if error.code != ROLE_IS_THERE:
                raise
            _renew(database, role)


def roles_are_defined(database: MongoDatabase) -> bool:
    """Whether a user was ever added to this database."""
    found = database.command("rolesInfo", Role.READER.name_on_server)
    return bool(found["roles"])


def _renew(database: MongoDatabase, role: Role) -> None:
    """Grant what is lacking, then revoke what is too much.

    `updateRole` would do both, but is for those alone who may revoke roles of all databases.
    """
    name = role.name_on_server
    (there,) = database.command("rolesInfo", name, showPrivileges=True)["roles"]
    now, wanted = (
        _by_collection(found) for found in (there["privileges"], _privileges(role, database.name))
    )
    for command, more, less in (
        ("grantPrivilegesToRole", wanted, now),
        ("revokePrivilegesFromRole", now, wanted),
    ):
        rights = _without(more, less, database.name)
        if rights:
            database.command(command, name, privileges=rights)


def _by_collection(privileges: list[dict[str, Any]]) -> dict[str, set[str]]:
    return {p["resource"]["collection"]: set(p["actions"]) for p in privileges}


def _without(
    more: dict[str, set[str]], less: dict[str, set[str]], database: str
) -> list[dict[str, Any]]:
    left = {name: actions - less.get(name, set()) for name, actions in more.items()}
    return [_privilege(database, name, actions) for name, actions in left.items() if actions]


def _inherited(role: Role) -> list[str]:
    """MongoDB's own: `read` is finding, listing and watching; `dbOwner` is all of one database."""
    return ["dbOwner"] if role is Role.ADMIN else ["read"]


def _privileges(role: Role, database: str) -> list[dict[str, Any]]:
    if role is not Role.CURATOR:
        return []
    records = {document._meta["collection"]: INSERT for document in DOCUMENTS}
    return [
        _privilege(database, name, actions)
        for name, actions in {**records, **CHANGED_BY_COMMANDS}.items()
    ]


def _privilege(database: str, collection: str, actions: Iterable[str]) -> dict[str, Any]:
    return {
        "resource": {"db": database, "collection": collection},
        "actions": sorted(actions),
    }
