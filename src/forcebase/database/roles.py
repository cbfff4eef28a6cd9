"""Roles of a group's members, as roles of MongoDB on one database.

A reader reads all there is. A curator adds what commands add: records are only ever inserted, and
updates and deletions are allowed where a command makes them, as each class of records and the
table below say; collections, validators and indexes are an admin's. Roles are of one database:
another on the same server has its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pymongo.database import Database as MongoDatabase
from pymongo.errors import OperationFailure

from forcebase.records.kinds import kinds

ROLE_IS_THERE = 51002
EDIT = ("insert", "update")
REPLACE = ("insert", "update", "remove")
BESIDE_RECORDS: dict[str, tuple[str, ...]] = {
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
"""What commands do with blobs and with what jobflow keeps; each class of records says its own."""


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
    records = {kind.name: kind.about.rights for kind in kinds()}
    return [
        _privilege(database, name, actions)
        for name, actions in {**records, **BESIDE_RECORDS}.items()
    ]


def _privilege(database: str, collection: str, actions: Iterable[str]) -> dict[str, Any]:
    return {
        "resource": {"db": database, "collection": collection},
        "actions": sorted(actions),
    }
