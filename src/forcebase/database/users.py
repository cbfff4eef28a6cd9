"""Users of a database: one for each member of a group, with a role and a password of their own."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from urllib.parse import quote

from pymongo.database import Database as MongoDatabase
from pymongo.errors import OperationFailure

from forcebase.database.access import access_of, refusals_told
from forcebase.database.installation import create_file_indexes
from forcebase.database.roles import Role, define_roles
from forcebase.errors import DatabaseError, InputError, NotFoundError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SHORTEST_PASSWORD = 8
RANDOM_BYTES = 24
USER_IS_THERE = 51003
OF_ANOTHER_USER = {
    "authsource",
    "authmechanism",
    "authmechanismproperties",
    "tlscertificatekeyfile",
    "tlscertificatekeyfilepassword",
}
"""Options of an address that say who one is."""


@dataclass(frozen=True)
class User:
    """A user of one database; `role` is None where it has other rights than forcebase's roles."""

    name: str
    role: Role | None


def new_password() -> str:
    """A password that nobody guesses; letters, digits, - and _ alone."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def check_user(name: str, role: str, password: str | None = None) -> Role:
    """Give the role, if a user can be added so.

    Raises:
        InputError: the name, role or password cannot be used.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a user.", hint="Use letters, digits and the signs . _ @ -"
        )
    if role not in tuple(Role):
        raise InputError(f"There is no role {role!r}.", hint=f"Give {', '.join(Role)}.")
    if password is not None and (len(password) < SHORTEST_PASSWORD or not password.isprintable()):
        raise InputError(
            f"The password is shorter than {SHORTEST_PASSWORD} characters, or not printable.",
            hint="Give a longer one, or leave it out: then one is made.",
        )
    return Role(role)


def add_user(database: MongoDatabase, name: str, role: Role, password: str) -> None:
    """Add a user, with the roles of this version; what curators need is made for them.

    Raises:
        InputError: there is a user of this name.
        AccessError: who is connected may not add users.
        DatabaseError: the server lets in everybody, so that a user would mean nothing.
    """
    if not access_of(database).is_checked:
        raise DatabaseError(
            "This MongoDB asks nobody for a password: users would be no protection.",
            hint="Start it with access control (mongod --auth, and --keyFile for a replica set).",
        )
    with refusals_told(database):
        define_roles(database)
        create_file_indexes(database)
        try:
            database.command("createUser", name, pwd=password, roles=[role.name_on_server])
        except OperationFailure as error:
            if error.code != USER_IS_THERE:
                raise
            raise InputError(
                f"Database {database.name!r} has a user {name!r} already.",
                hint=f"To change role or password: forcebase db users remove {name}, and add it.",
            ) from None


def list_users(database: MongoDatabase) -> list[User]:
    """The users of a database, by name.

    Raises:
        AccessError: who is connected may not see them.
    """
    with refusals_told(database):
        found = database.command("usersInfo")["users"]
    return sorted(
        (User(user["user"], _role(user["roles"], database.name)) for user in found),
        key=lambda user: user.name,
    )


def remove_user(database: MongoDatabase, name: str) -> User:
    """Take a user's access away, at once, from open connections too; gives what it was.

    Raises:
        NotFoundError: there is no such user with a role of forcebase.
        InputError: it is the user who asks.
        AccessError: who is connected may not remove users.
    """
    found = {user.name: user for user in list_users(database)}.get(name)
    if found is None or found.role is None:
        what = "no user" if found is None else "a user with rights of another kind, but none"
        raise NotFoundError(
            f"Database {database.name!r} has {what} {name!r} with a role of forcebase.",
            hint="See: forcebase db users list",
        )
    if name in access_of(database).users:
        raise InputError(
            f"You are connected as {name!r} yourself.", hint="Let another admin remove it."
        )
    with refusals_told(database):
        database.command("dropUser", name)
    return found


def user_uri(uri: str, database: str, name: str, password: str) -> str:
    """The address at which a user reaches a database, from one that another reaches it at."""
    scheme, _, rest = uri.partition("://")
    head = re.split(r"[/?]", rest, maxsplit=1)[0]
    place = head.rpartition("@")[2]
    options = [
        option
        for option in rest[len(head) :].partition("?")[2].split("&")
        if option and option.partition("=")[0].lower() not in OF_ANOTHER_USER
    ]
    options.insert(0, f"authSource={quote(database, safe='')}")
    login = f"{quote(name, safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{login}@{place}/?{'&'.join(options)}"


def _role(roles: list[dict[str, str]], database: str) -> Role | None:
    names = {role["role"] for role in roles if role["db"] == database}
    return next((role for role in reversed(Role) if role.name_on_server in names), None)
