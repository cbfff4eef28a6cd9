"""What the user of a connection may do in a database, asked of the server, and said in words."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database as MongoDatabase
from pymongo.errors import OperationFailure

from forcebase.database.roles import Role
from forcebase.errors import AccessError

UNAUTHORIZED = 13
_COMMAND = re.compile(r'execute command \{ (\w+): (?:"([^"]*)")?')
"""In the server's words: what was refused, and the collection where the command names one."""


@dataclass(frozen=True)
class Access:
    """Rights of a connection in one database.

    Attributes:
        database: its name.
        users: names that the connection logged in as; none where the server asks for no password,
            and where a user was removed after the login.
        roles: names of all roles in force, inherited ones too.
        privileges: of the server: {"resource": ..., "actions": [...]}.
        is_checked: whether the server checks rights at all.
    """

    database: str
    users: tuple[str, ...]
    roles: frozenset[str]
    privileges: tuple[dict[str, Any], ...]
    is_checked: bool

    @property
    def role(self) -> Role | None:
        """The role of forcebase, where the user has one here."""
        return next((role for role in reversed(Role) if role.name_on_server in self.roles), None)

    @property
    def who(self) -> str:
        """The user and its role, for a message."""
        if not self.users:
            return "A user who was removed, or never logged in,"
        role = self.role or " ".join(sorted(self.roles)) or "a user without a role"
        return f"User {self.users[0]!r} ({role} of database {self.database!r})"

    def may(self, actions: set[str], collection: str) -> bool:
        """Whether all these actions of MongoDB's are allowed on a collection."""
        if not self.is_checked:
            return True
        granted: set[str] = set()
        for privilege in self.privileges:
            if _covers(privilege["resource"], self.database, collection):
                granted.update(privilege["actions"])
        return actions <= granted or "anyAction" in granted

    @property
    def may_write(self) -> bool:
        """Whether records can be added: each addition ends with one of these."""
        return self.may({"insert"}, "activities")


def access_of(database: MongoDatabase) -> Access:
    """Ask the server; no right is needed for that."""
    found = database.command("connectionStatus", showPrivileges=True)["authInfo"]
    users = tuple(user["user"] for user in found["authenticatedUsers"])
    here = (database.name, "admin")
    return Access(
        database=database.name,
        users=users,
        roles=frozenset(r["role"] for r in found["authenticatedUserRoles"] if r["db"] in here),
        privileges=tuple(found["authenticatedUserPrivileges"]),
        is_checked=bool(users) or not _is_open(database),
    )


def user_name(access: Access) -> str:
    """The user of the database where the server knows one, else that of this machine."""
    if access.users:
        return access.users[0]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        return ""


def require_writing(access: Access) -> None:
    """Raise AccessError unless records may be added."""
    if not access.may_write:
        raise AccessError(f"{access.who} may not write.", hint=_hint(Role.CURATOR))


def is_refusal(error: BaseException | None) -> bool:
    """Whether the server refused for want of a right."""
    return isinstance(error, OperationFailure) and error.code == UNAUTHORIZED


def refusal(database: MongoDatabase, error: Exception) -> AccessError:
    """Put a refusal of the server into words that name the user, the role and the command."""
    access = access_of(database)
    found = _COMMAND.search(str(error))
    what = "do this"
    if found:
        what = f"run {found[1]!r}" + (f" on {found[2]}" if found[2] else "")
    if not access.may_write:
        what = f"write ({found[1]} on {found[2]})" if found and found[2] else "write"
    return AccessError(
        f"{access.who} may not {what}.",
        hint=_hint(Role.ADMIN if access.may_write else Role.CURATOR),
    )


@contextmanager
def refusals_told(database: MongoDatabase) -> Iterator[None]:
    """Raise AccessError where the server refuses what is done inside for want of a right."""
    try:
        yield
    except OperationFailure as error:
        if is_refusal(error):
            raise refusal(database, error) from None
        raise


def _hint(role: Role) -> str:
    return f"Ask an admin of the database, who can add you as {role}: forcebase db users add --help"


def _covers(resource: dict[str, Any], database: str, collection: str) -> bool:
    if "db" not in resource:
        return bool(resource.get("anyResource"))
    return resource["db"] in ("", database) and resource["collection"] in ("", collection)


def _is_open(database: MongoDatabase) -> bool:
    """Whether a connection without a user is let in: then no rights are checked."""
    try:
        database.list_collection_names(filter={"name": "meta"})
    except OperationFailure:
        return False
    return True
